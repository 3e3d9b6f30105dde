"""What can be done with a key, and what it is done to.

A mechanism is a value: the algorithm with all its parameters but the key and the data. The
union is closed: each door and each store has one table of those it knows, and a policy names
them as `spelling` does.
"""

from enum import StrEnum, unique
from typing import Final

import msgspec

# --- what it is done to --------------------------------------------------------------


@unique
class Hash(StrEnum):
    SHA1 = "sha1"
    SHA224 = "sha224"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    SHA3_224 = "sha3-224"
    SHA3_256 = "sha3-256"
    SHA3_384 = "sha3-384"
    SHA3_512 = "sha3-512"


class Message(msgspec.Struct, frozen=True):
    """The whole of what is signed; the gate can read what it is about."""

    data: bytes


class Digest(msgspec.Struct, frozen=True):
    """Only a hash of what is signed: a policy about destinations or namespaces says no."""

    hash: Hash
    data: bytes


class Opaque(msgspec.Struct, frozen=True):
    """Bytes of which nothing is known: what is encrypted, or what raw RSA and raw ECDSA sign."""

    data: bytes


Input = Message | Digest | Opaque


@unique
class Verb(StrEnum):
    """What is done with a key, as policies and the trail name it."""

    SIGN = "sign"
    VERIFY = "verify"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    DERIVE = "derive"
    WRAP = "wrap"
    UNWRAP = "unwrap"
    ENCAPSULATE = "encapsulate"
    DECAPSULATE = "decapsulate"
    EXPORT = "export"  # its value, by reading, wrapping or copying it


# --- signatures ----------------------------------------------------------------------


class EdDsa(msgspec.Struct, frozen=True):
    """Pure Ed25519 or Ed448 (RFC 8032). Takes a `Message`; gives 64 or 114 bytes."""


class Ecdsa(msgspec.Struct, frozen=True):
    """Gives r || s, each as wide as the curve's order. Without a hash it takes a `Digest`, or
    an `Opaque` of any length, of which the leftmost bits count (FIPS 186-5, 6.4.1)."""

    hash: Hash | None = None


class RsaPkcs1(msgspec.Struct, frozen=True):
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2). Without a hash it takes a `Digest`, or as
    `Opaque` the DigestInfo, or whatever else is padded as it is (PKCS#11's CKM_RSA_PKCS)."""

    hash: Hash | None = None


class RsaPss(msgspec.Struct, frozen=True):
    """RSASSA-PSS (RFC 8017, section 8.1); `salt` in bytes. Takes a `Message`, or a `Digest`
    of that hash; in an operation in parts `prehashed` says that the parts make the digest."""

    hash: Hash
    mgf: Hash
    salt: int
    prehashed: bool = False


class Dsa(msgspec.Struct, frozen=True):
    """DSA with SHA-1 over 1024 bits, as old OpenSSH has it. Gives r || s, 20 bytes each."""


class MlDsa44Ed25519(msgspec.Struct, frozen=True):
    """The composite of OpenSSH 10.5 (draft-miller-sshm-mldsa44-ed25519-composite-sigs)."""


class MlDsa(msgspec.Struct, frozen=True):
    """Pure ML-DSA (FIPS 204, algorithm 2). Takes a `Message`."""

    context: bytes = b""


class SecurityKey(msgspec.Struct, frozen=True):
    """A FIDO assertion: the signature, a byte of flags, a counter of 4 bytes (big-endian)."""


class Hmac(msgspec.Struct, frozen=True):
    """HMAC (RFC 2104), cut to `size` bytes."""

    hash: Hash
    size: int


class AesCmac(msgspec.Struct, frozen=True):
    """CMAC with AES (SP 800-38B), cut to `size` bytes."""

    size: int = 16


# --- encryption ----------------------------------------------------------------------


class RsaPkcs1Encryption(msgspec.Struct, frozen=True):
    """RSAES-PKCS1-v1_5 (RFC 8017, section 7.2)."""


class RsaOaep(msgspec.Struct, frozen=True):
    """RSAES-OAEP (RFC 8017, section 7.1)."""

    hash: Hash
    mgf: Hash
    label: bytes = b""


class RsaRaw(msgspec.Struct, frozen=True):
    """The bare operation on one number (PKCS#11's CKM_RSA_X_509), as old tokens want it."""


class AesEcb(msgspec.Struct, frozen=True):
    """Whole blocks, each on its own (SP 800-38A)."""


class AesCbc(msgspec.Struct, frozen=True):
    """CBC (SP 800-38A), with PKCS#7 padding or with whole blocks only."""

    iv: bytes
    padded: bool


class AesCtr(msgspec.Struct, frozen=True):
    """CTR (SP 800-38A); the low `bits` of the block count and must not run over."""

    counter: bytes
    bits: int


class AesGcm(msgspec.Struct, frozen=True):
    """GCM (SP 800-38D). The tag, of `tag` bytes, follows the ciphertext."""

    iv: bytes
    aad: bytes
    tag: int


class AesCcm(msgspec.Struct, frozen=True):
    """CCM (SP 800-38C). The tag, of `tag` bytes, follows the ciphertext."""

    nonce: bytes
    aad: bytes
    tag: int
    length: int  # of the plaintext, which the mode must know before it begins


class AesXts(msgspec.Struct, frozen=True):
    """XTS (SP 800-38E)."""

    tweak: bytes


class AesKeyWrap(msgspec.Struct, frozen=True):
    """AES-KW (RFC 3394), or AES-KWP (RFC 5649) where `padded`."""

    padded: bool


class ChaCha20Poly1305(msgspec.Struct, frozen=True):
    """RFC 8439, section 2.8. The tag of 16 bytes follows the ciphertext."""

    nonce: bytes
    aad: bytes


class Des3Ecb(msgspec.Struct, frozen=True):
    """Whole blocks of triple DES, on tokens made for old programs."""


class Des3Cbc(msgspec.Struct, frozen=True):
    """CBC with triple DES, on tokens made for old programs."""

    iv: bytes
    padded: bool


# --- keys from keys ------------------------------------------------------------------


@unique
class Kdf(StrEnum):
    """What becomes of a shared secret."""

    NONE = "none"
    X963 = "x963"  # ANSI X9.63 (SEC 1, 3.6.1)
    SP800_56A = "sp800-56a"  # the one-step KDF of SP 800-56C


class Ecdh(msgspec.Struct, frozen=True):
    """ECDH with `public`: a point as X9.62 writes it, or 32 or 56 bytes for X25519 and X448."""

    public: bytes
    kdf: Kdf = Kdf.NONE
    hash: Hash | None = None
    shared: bytes = b""  # input of the KDF
    cofactor: bool = False


class Hkdf(msgspec.Struct, frozen=True):
    """RFC 5869, or one half of it. `salt` None: as many zeros as the hash is long."""

    hash: Hash
    extract: bool
    expand: bool
    salt: bytes | None
    info: bytes


class Pbkdf2(msgspec.Struct, frozen=True):
    """RFC 8018, section 5.2, with HMAC. The key is the password."""

    hash: Hash
    salt: bytes
    rounds: int


class CounterKdf(msgspec.Struct, frozen=True):
    """KDF in counter mode (SP 800-108, 4.1) with HMAC, or CMAC where there is no hash."""

    hash: Hash | None
    before: bytes  # fixed input in front of the counter
    after: bytes
    counter: int  # bytes of the counter


class MlKem(msgspec.Struct, frozen=True):
    """ML-KEM (FIPS 203)."""


class Value(msgspec.Struct, frozen=True):
    """The key's own bytes, as they are: what reading CKA_VALUE is, and copying out of a token."""


class Vendor(msgspec.Struct, frozen=True):
    """A mechanism of a vendor's PKCS#11 module, passed on as it is.

    `parameter` is for those who speak PKCS#11 (`cryptoki`), and empty where there is none."""

    ckm: int
    parameter: bytes = b""


Mechanism = (
    EdDsa
    | Ecdsa
    | RsaPkcs1
    | RsaPss
    | Dsa
    | MlDsa44Ed25519
    | MlDsa
    | SecurityKey
    | Hmac
    | AesCmac
    | RsaPkcs1Encryption
    | RsaOaep
    | RsaRaw
    | AesEcb
    | AesCbc
    | AesCtr
    | AesGcm
    | AesCcm
    | AesXts
    | AesKeyWrap
    | ChaCha20Poly1305
    | Des3Ecb
    | Des3Cbc
    | Ecdh
    | Hkdf
    | Pbkdf2
    | CounterKdf
    | MlKem
    | Value
    | Vendor
)

# The name of a mechanism in policies and in the trail; a hash, if it has one, follows it.
_NAMES: Final[dict[type[msgspec.Struct], str]] = {
    EdDsa: "eddsa",
    Ecdsa: "ecdsa",
    RsaPkcs1: "rsa-pkcs1",
    RsaPss: "rsa-pss",
    Dsa: "dsa-sha1",
    MlDsa44Ed25519: "mldsa44-ed25519",
    MlDsa: "ml-dsa",
    SecurityKey: "security-key",
    Hmac: "hmac",
    AesCmac: "aes-cmac",
    RsaPkcs1Encryption: "rsa-pkcs1-encryption",
    RsaOaep: "rsa-oaep",
    RsaRaw: "rsa-raw",
    AesEcb: "aes-ecb",
    AesCbc: "aes-cbc",
    AesCtr: "aes-ctr",
    AesGcm: "aes-gcm",
    AesCcm: "aes-ccm",
    AesXts: "aes-xts",
    AesKeyWrap: "aes-key-wrap",
    ChaCha20Poly1305: "chacha20-poly1305",
    Des3Ecb: "des3-ecb",
    Des3Cbc: "des3-cbc",
    Ecdh: "ecdh",
    Hkdf: "hkdf",
    Pbkdf2: "pbkdf2",
    CounterKdf: "counter-kdf",
    MlKem: "ml-kem",
    Value: "value",
}
_ALWAYS_HASHED: Final = (RsaPss, Hmac, RsaOaep, Hkdf, Pbkdf2)


def spelling(mechanism: Mechanism) -> str:
    """How a policy and the trail name `mechanism`: `rsa-pss-sha256`, `ecdsa`, `eddsa`."""
    if isinstance(mechanism, Vendor):
        return f"vendor-{mechanism.ckm:#x}"
    name = _NAMES[type(mechanism)]
    hashed: Hash | None = getattr(mechanism, "hash", None)
    return f"{name}-{hashed}" if hashed else name


def spellings() -> frozenset[str]:
    """Every name that `spelling` can give, but those of vendors."""
    plain = {name for kind, name in _NAMES.items() if kind not in _ALWAYS_HASHED}
    hashed = [name for kind, name in _NAMES.items() if "hash" in kind.__struct_fields__]
    return frozenset(plain | {f"{name}-{each}" for name in hashed for each in Hash})
