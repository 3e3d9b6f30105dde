"""What an RSA key signs, made here (RFC 8017, 9.1 and 9.2): a TPM has few hashes, and chooses the
length of the salt of PSS itself."""

import hashlib
import secrets
from typing import Final

from keyholm.core.errors import DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import Hash
from keyholm.wire import der

OIDS: Final[dict[Hash, str]] = {
    Hash.SHA1: "1.3.14.3.2.26",
    Hash.SHA224: "2.16.840.1.101.3.4.2.4",
    Hash.SHA256: "2.16.840.1.101.3.4.2.1",
    Hash.SHA384: "2.16.840.1.101.3.4.2.2",
    Hash.SHA512: "2.16.840.1.101.3.4.2.3",
    Hash.SHA3_224: "2.16.840.1.101.3.4.2.7",
    Hash.SHA3_256: "2.16.840.1.101.3.4.2.8",
    Hash.SHA3_384: "2.16.840.1.101.3.4.2.9",
    Hash.SHA3_512: "2.16.840.1.101.3.4.2.10",
}
_NULL: Final = b"\5\0"


def digest(name: Hash, *data: bytes) -> bytes:
    hasher = hashlib.new(name.replace("sha3-", "sha3_"), usedforsecurity=False)
    for part in data:
        hasher.update(part)
    return hasher.digest()


def digest_info(name: Hash, hashed: bytes) -> bytes:
    return der.sequence(der.sequence(der.oid(OIDS[name]), _NULL), der.octet_string(hashed))


def pkcs1(data: bytes, size: int) -> bytes:
    """Padded as RSASSA-PKCS1-v1_5 has it, to the size of the modulus."""
    if len(data) > size - 11:
        raise DataLengthInvalid(
            f"This RSA key signs at most {size - 11} bytes that are not hashed."
        )
    return b"\0\1" + b"\xff" * (size - 3 - len(data)) + b"\0" + data


def pss(name: Hash, mgf: Hash, salt_size: int, hashed: bytes, bits: int) -> bytes:
    """EMSA-PSS, for a modulus of `bits`."""
    size = (bits + 6) // 8
    room = size - len(hashed) - 2
    if not 0 <= salt_size <= room:
        raise MechanismUnsupported(
            f"This RSA key has room for a salt of at most {room} bytes with {name}."
        )
    salt = secrets.token_bytes(salt_size)
    seed = digest(name, bytes(8), hashed, salt)
    block = bytes(room - salt_size) + b"\1" + salt
    masked = bytearray(a ^ b for a, b in zip(block, _mask(mgf, seed, len(block)), strict=True))
    masked[0] &= 0xFF >> (8 * size - (bits - 1))
    return (bytes(masked) + seed + b"\xbc").rjust((bits + 7) // 8, b"\0")


def _mask(name: Hash, seed: bytes, size: int) -> bytes:
    """MGF1."""
    found, counter = b"", 0
    while len(found) < size:
        found += digest(name, seed, counter.to_bytes(4))
        counter += 1
    return found[:size]
