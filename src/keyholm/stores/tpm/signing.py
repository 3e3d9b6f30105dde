"""How a key of the TPM signs by each mechanism, in PKCS#11 form.

Everything is hashed here. An ECDSA signature depends on the number that a digest is, not on the
hash that made it: it is brought to the width that goes with the curve. An RSA key makes paddings
that the TPM has not by the bare operation, which a key that may only sign has not.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.core.errors import DataInvalid, DataLengthInvalid, MechanismUnsupported
from keyholm.core.mechanisms import (
    Digest,
    Ecdsa,
    Hash,
    Input,
    Mechanism,
    Message,
    Opaque,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    spelling,
)
from keyholm.stores.tpm import encoding
from keyholm.wire.tpm2.constants import ALG, COORDINATES, CURVE, OBJECT
from keyholm.wire.tpm2.key_files import KeyFile
from keyholm.wire.tpm2.structures import (
    EccParameters,
    EcSignature,
    RsaParameters,
    RsaSignature,
    Scheme,
    Signature,
)

LONGEST_DIGEST: Final = 1024
_WIDTHS: Final[dict[CURVE, tuple[ALG, int]]] = {
    CURVE.NIST_P256: (ALG.SHA256, 32),
    CURVE.NIST_P384: (ALG.SHA384, 48),
    CURVE.NIST_P521: (ALG.SHA512, 64),
}
_OF_TPM: Final[dict[Hash, ALG]] = {
    Hash.SHA256: ALG.SHA256,
    Hash.SHA384: ALG.SHA384,
    Hash.SHA512: ALG.SHA512,
}

TpmSign = Callable[[Scheme, bytes], Signature]
TpmRaw = Callable[[bytes], bytes]


def sign(file: KeyFile, mechanism: Mechanism, data: Input, sign_: TpmSign, raw: TpmRaw) -> bytes:
    """Raises `MechanismUnsupported`, `DataLengthInvalid`, `DataInvalid`."""
    match file.public.parameters, mechanism:
        case EccParameters(curve=curve), Ecdsa() if curve in _WIDTHS:
            return _ecdsa(curve, mechanism, data, sign_)
        case RsaParameters(), RsaPkcs1() | RsaPss() | RsaRaw():
            return _rsa(file, mechanism, data, sign_, raw)
        case _:
            raise MechanismUnsupported(f"This key of the TPM has no {spelling(mechanism)}.")


def _ecdsa(curve: CURVE, mechanism: Ecdsa, data: Input, sign_: TpmSign) -> bytes:
    algorithm, size = _WIDTHS[curve]
    signature = sign_(Scheme(ALG.ECDSA, algorithm), _number(_hashed(mechanism, data), curve, size))
    if not isinstance(signature, EcSignature):
        raise MechanismUnsupported("The TPM gave another kind of signature.")
    width = COORDINATES[curve]
    r, s = signature.r.lstrip(b"\0"), signature.s.lstrip(b"\0")
    return r.rjust(width, b"\0") + s.rjust(width, b"\0")


def _number(hashed: bytes, curve: CURVE, size: int) -> bytes:
    """The leftmost bits, as many as the order has (FIPS 186-5, 6.4.1), as wide as the TPM wants."""
    if not 0 < len(hashed) <= LONGEST_DIGEST:
        raise DataLengthInvalid(f"ECDSA signs a digest of 1 to {LONGEST_DIGEST} bytes.")
    if len(hashed) <= size:
        return hashed.rjust(size, b"\0")
    if curve is CURVE.NIST_P521:
        raise DataLengthInvalid(f"A TPM signs at most {size} bytes with this key.")
    return hashed[:size]


def _rsa(file: KeyFile, mechanism: Mechanism, data: Input, sign_: TpmSign, raw: TpmRaw) -> bytes:
    bits = _bits(file)
    size = bits // 8
    match mechanism, data:
        case RsaPkcs1(), Opaque() if mechanism.hash is None:
            return _bare(file, encoding.pkcs1(data.data, size), raw)
        case RsaPkcs1(), _:
            return _pkcs1(file, mechanism, data, size, sign_, raw)
        case RsaPss(hash_, mgf, salt), _:
            block = encoding.pss(hash_, mgf, salt, _hashed(mechanism, data), bits)
            return _bare(file, block, raw)
        case RsaRaw(), Opaque(block):
            return _bare(file, _raw_block(file, block, size), raw)
        case _:
            raise MechanismUnsupported(f"{spelling(mechanism)} does not take this.")


def _pkcs1(
    file: KeyFile, mechanism: RsaPkcs1, data: Input, size: int, sign_: TpmSign, raw: TpmRaw
) -> bytes:
    hashed = _hashed(mechanism, data)
    name = mechanism.hash or (data.hash if isinstance(data, Digest) else Hash.SHA256)
    if name not in _OF_TPM:
        return _bare(file, encoding.pkcs1(encoding.digest_info(name, hashed), size), raw)
    signature = sign_(Scheme(ALG.RSASSA, _OF_TPM[name]), hashed)
    if not isinstance(signature, RsaSignature):
        raise MechanismUnsupported("The TPM gave another kind of signature.")
    return signature.value.rjust(size, b"\0")


def _bare(file: KeyFile, block: bytes, raw: TpmRaw) -> bytes:
    if not file.public.attributes & OBJECT.DECRYPT:
        raise MechanismUnsupported("This key may only sign, by what its TPM has hashes for.")
    return raw(block)


def _raw_block(file: KeyFile, block: bytes, size: int) -> bytes:
    if not 0 < len(block) <= size:
        raise DataLengthInvalid(f"Raw RSA takes 1 to {size} bytes with this key.")
    unique: Any = file.public.unique
    if int.from_bytes(block) >= int.from_bytes(unique):
        raise DataInvalid("Raw RSA takes a number that is smaller than the modulus.")
    return block.rjust(size, b"\0")


def _bits(file: KeyFile) -> int:
    parameters: Any = file.public.parameters
    return int(parameters.bits)


def _hashed(mechanism: Ecdsa | RsaPkcs1 | RsaPss, data: Input) -> bytes:
    """The digest that is signed, of a message or as it was given."""
    match data:
        case Message(message) if mechanism.hash is not None:
            return encoding.digest(mechanism.hash, message)
        case Digest(hash_, hashed) if _takes(mechanism, hash_):
            if len(hashed) != len(encoding.digest(hash_)):
                raise MechanismUnsupported(f"This is no {hash_} digest.")
            return hashed
        case Opaque(given) if isinstance(mechanism, Ecdsa) and mechanism.hash is None:
            return given
    raise MechanismUnsupported(f"{spelling(mechanism)} does not take this.")


def _takes(mechanism: Ecdsa | RsaPkcs1 | RsaPss, of: Hash) -> bool:
    if isinstance(mechanism, RsaPss):
        return mechanism.hash is of
    return mechanism.hash is None
