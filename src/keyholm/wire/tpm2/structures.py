"""Structures of TPM 2.0 (Part 2, 10 to 12), each described once for both directions.

public = decode(PUBLIC, data)
PUBLIC.write(public) == data
"""

from typing import Any, Final

from msgspec import Struct

from keyholm.wire.codec import BYTE, Codec, Malformed, Reader, record
from keyholm.wire.tpm2.constants import ALG, CAP, CURVE, GENERATED, HASHES, OBJECT, ST
from keyholm.wire.tpm2.types import (
    BUFFER,
    DIGEST,
    NAME,
    UINT16,
    UINT32,
    UINT64,
    YES_NO,
    attributes,
    chosen_by,
    empty,
    listed,
    one_of,
    sized,
    sized_of,
)

MOST_PCRS: Final = 32
MOST_SELECTIONS: Final = 16
MOST_LISTED: Final = 128

ALGORITHM: Final = one_of(ALG)
CURVE_ID: Final = one_of(CURVE)
STRUCTURE: Final = one_of(ST)


def _read_hash(reader: Reader) -> ALG:
    value = ALGORITHM.read(reader)
    if value not in HASHES:
        raise Malformed(f"{value.name} is no hash that we know")
    return value


def _read_hash_or_null(reader: Reader) -> ALG:
    value = ALGORITHM.read(reader)
    if value is not ALG.NULL and value not in HASHES:
        raise Malformed(f"{value.name} is no hash that we know")
    return value


HASH: Final[Codec[ALG]] = Codec(write=ALGORITHM.write, read=_read_hash)
HASH_OR_NULL: Final[Codec[ALG]] = Codec(write=ALGORITHM.write, read=_read_hash_or_null)

# --- schemes ---------------------------------------------------------------------------


class Symmetric(Struct, frozen=True):
    """TPMT_SYM_DEF(_OBJECT): a block cipher, or NULL."""

    algorithm: ALG = ALG.NULL
    bits: int = 0
    mode: ALG = ALG.NULL


AES_128_CFB: Final = Symmetric(ALG.AES, 128, ALG.CFB)
NO_CIPHER: Final = Symmetric()


def _read_symmetric(reader: Reader) -> Symmetric:
    algorithm = ALGORITHM.read(reader)
    if algorithm is ALG.NULL:
        return NO_CIPHER
    if algorithm not in (ALG.AES, ALG.SM4, ALG.CAMELLIA):
        raise Malformed(f"{algorithm.name} is no block cipher")
    return Symmetric(algorithm, UINT16.read(reader), ALGORITHM.read(reader))


def _write_symmetric(value: Symmetric) -> bytes:
    head = ALGORITHM.write(value.algorithm)
    if value.algorithm is ALG.NULL:
        return head
    return head + UINT16.write(value.bits) + ALGORITHM.write(value.mode)


SYMMETRIC: Final[Codec[Symmetric]] = Codec(write=_write_symmetric, read=_read_symmetric)


class Scheme(Struct, frozen=True):
    """TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_SIG_SCHEME, TPMT_KDF_SCHEME and their like."""

    algorithm: ALG = ALG.NULL
    hash: ALG = ALG.NULL
    count: int = 0  # of ECDAA


NO_SCHEME: Final = Scheme()
_BARE: Final = frozenset({ALG.NULL, ALG.RSAES})


def _read_scheme(reader: Reader) -> Scheme:
    algorithm = ALGORITHM.read(reader)
    if algorithm is ALG.NULL:
        return NO_SCHEME
    if algorithm not in SCHEMES:
        raise Malformed(f"{algorithm.name} is no scheme")
    if algorithm in _BARE:
        return Scheme(algorithm)
    hashed = HASH.read(reader)
    return Scheme(algorithm, hashed, UINT16.read(reader) if algorithm is ALG.ECDAA else 0)


def _write_scheme(value: Scheme) -> bytes:
    head = ALGORITHM.write(value.algorithm)
    if value.algorithm in _BARE:
        return head
    tail = UINT16.write(value.count) if value.algorithm is ALG.ECDAA else b""
    return head + ALGORITHM.write(value.hash) + tail


SCHEMES: Final = frozenset(
    {
        *(ALG.RSASSA, ALG.RSAPSS, ALG.RSAES, ALG.OAEP),
        *(ALG.ECDSA, ALG.ECDH, ALG.ECDAA, ALG.SM2, ALG.ECSCHNORR, ALG.ECMQV),
        *(ALG.MGF1, ALG.KDF1_SP800_56A, ALG.KDF2, ALG.KDF1_SP800_108, ALG.HMAC),
    }
)
SCHEME: Final[Codec[Scheme]] = Codec(write=_write_scheme, read=_read_scheme)


# --- public areas ----------------------------------------------------------------------


class RsaParameters(Struct, frozen=True):
    """TPMS_RSA_PARMS. `exponent` 0 is 65537."""

    symmetric: Symmetric = NO_CIPHER
    scheme: Scheme = NO_SCHEME
    bits: int = 2048
    exponent: int = 0


class EccParameters(Struct, frozen=True):
    """TPMS_ECC_PARMS."""

    symmetric: Symmetric = NO_CIPHER
    scheme: Scheme = NO_SCHEME
    curve: CURVE = CURVE.NIST_P256
    kdf: Scheme = NO_SCHEME


class KeyedHashParameters(Struct, frozen=True):
    """TPMS_KEYEDHASH_PARMS: of an HMAC key, or of sealed data (NULL)."""

    scheme: Scheme = NO_SCHEME


class SymmetricParameters(Struct, frozen=True):
    """TPMS_SYMCIPHER_PARMS."""

    symmetric: Symmetric = AES_128_CFB


class Point(Struct, frozen=True):
    """TPMS_ECC_POINT: big-endian coordinates, as long as the TPM wrote them."""

    x: bytes = b""
    y: bytes = b""


Parameters = RsaParameters | EccParameters | KeyedHashParameters | SymmetricParameters
_RSA_PARAMETERS = record(
    RsaParameters, symmetric=SYMMETRIC, scheme=SCHEME, bits=UINT16, exponent=UINT32
)
_ECC_PARAMETERS = record(
    EccParameters, symmetric=SYMMETRIC, scheme=SCHEME, curve=CURVE_ID, kdf=SCHEME
)
_KEYED_HASH_PARAMETERS = record(KeyedHashParameters, scheme=SCHEME)
_SYMMETRIC_PARAMETERS = record(SymmetricParameters, symmetric=SYMMETRIC)
POINT: Final = record(Point, x=sized(128), y=sized(128))
_RSA_UNIQUE: Final = sized(512)
_KINDS: Final[dict[ALG, tuple[Codec[Any], Codec[Any]]]] = {
    ALG.RSA: (_RSA_PARAMETERS, _RSA_UNIQUE),
    ALG.ECC: (_ECC_PARAMETERS, POINT),
    ALG.KEYEDHASH: (_KEYED_HASH_PARAMETERS, DIGEST),
    ALG.SYMCIPHER: (_SYMMETRIC_PARAMETERS, DIGEST),
}
_TYPES: Final[dict[type[Parameters], ALG]] = {
    RsaParameters: ALG.RSA,
    EccParameters: ALG.ECC,
    KeyedHashParameters: ALG.KEYEDHASH,
    SymmetricParameters: ALG.SYMCIPHER,
}


class Public(Struct, frozen=True):
    """TPMT_PUBLIC. `unique` is the modulus, the point, or a digest; in a template it is empty."""

    name_algorithm: ALG
    attributes: OBJECT
    policy: bytes  # the digest of its policy, or empty
    parameters: Parameters
    unique: bytes | Point

    @property
    def type(self) -> ALG:
        return _TYPES[type(self.parameters)]


OBJECT_ATTRIBUTES: Final = attributes(OBJECT, UINT32)


def _read_public(reader: Reader) -> Public:
    kind = ALGORITHM.read(reader)
    if kind not in _KINDS:
        raise Malformed(f"{kind.name} is no type of object")
    parameters, unique = _KINDS[kind]
    return Public(
        HASH_OR_NULL.read(reader),
        OBJECT_ATTRIBUTES.read(reader),
        DIGEST.read(reader),
        parameters.read(reader),
        unique.read(reader),
    )


def _write_public(value: Public) -> bytes:
    parameters, unique = _KINDS[value.type]
    return b"".join(
        (
            ALGORITHM.write(value.type),
            ALGORITHM.write(value.name_algorithm),
            OBJECT_ATTRIBUTES.write(value.attributes),
            DIGEST.write(value.policy),
            parameters.write(value.parameters),
            unique.write(value.unique),
        )
    )


PUBLIC: Final[Codec[Public]] = Codec(write=_write_public, read=_read_public)
PUBLIC_2B: Final = sized_of(PUBLIC)


# --- PCRs and tickets ------------------------------------------------------------------


class PcrSelection(Struct, frozen=True):
    """TPMS_PCR_SELECTION: which PCRs of one bank; `size` is that of the bit map, in bytes."""

    hash: ALG
    pcrs: frozenset[int]
    size: int = 3


def _read_selection(reader: Reader) -> PcrSelection:
    hashed, size = HASH.read(reader), reader.take(1)[0]
    if size > MOST_PCRS // 8:
        raise Malformed(f"a selection of {8 * size} PCRs")
    bits = int.from_bytes(reader.take(size), "little")
    pcrs = frozenset(number for number in range(8 * size) if bits >> number & 1)
    return PcrSelection(hashed, pcrs, size)


def _write_selection(value: PcrSelection) -> bytes:
    bits = sum(1 << number for number in value.pcrs)
    return ALGORITHM.write(value.hash) + bytes((value.size,)) + bits.to_bytes(value.size, "little")


PCR_SELECTIONS: Final = listed(Codec(write=_write_selection, read=_read_selection), MOST_SELECTIONS)
DIGESTS: Final = listed(DIGEST, 8)


class Ticket(Struct, frozen=True):
    """TPMT_TK_*: what only the same TPM can check."""

    tag: ST
    hierarchy: int
    digest: bytes


TICKET: Final = record(Ticket, tag=STRUCTURE, hierarchy=UINT32, digest=DIGEST)


class CreationData(Struct, frozen=True):
    """TPMS_CREATION_DATA: the state of the TPM when an object was made."""

    pcrs: tuple[PcrSelection, ...]
    pcr_digest: bytes
    locality: int
    parent_name_algorithm: ALG
    parent_name: bytes
    parent_qualified_name: bytes
    outside: bytes  # what the maker wanted to stand here


CREATION_DATA: Final = record(
    CreationData,
    pcrs=PCR_SELECTIONS,
    pcr_digest=DIGEST,
    locality=BYTE,
    parent_name_algorithm=HASH_OR_NULL,
    parent_name=NAME,
    parent_qualified_name=NAME,
    outside=sized(64),
)


# --- attestation -----------------------------------------------------------------------


class ClockInfo(Struct, frozen=True):
    """TPMS_CLOCK_INFO: milliseconds that the TPM was on, and how often it was begun anew."""

    clock: int
    resets: int
    restarts: int
    safe: bool


class Certified(Struct, frozen=True):
    """TPMS_CERTIFY_INFO: this object is in this TPM."""

    name: bytes
    qualified_name: bytes


class Quoted(Struct, frozen=True):
    """TPMS_QUOTE_INFO."""

    pcrs: tuple[PcrSelection, ...]
    digest: bytes


class Created(Struct, frozen=True):
    """TPMS_CREATION_INFO: this object was made with this creation data."""

    name: bytes
    creation_hash: bytes


CLOCK_INFO: Final = record(ClockInfo, clock=UINT64, resets=UINT32, restarts=UINT32, safe=YES_NO)
Attested = Certified | Quoted | Created
_ATTESTED: Final[dict[ST, Codec[Any]]] = {
    ST.ATTEST_CERTIFY: record(Certified, name=NAME, qualified_name=NAME),
    ST.ATTEST_QUOTE: record(Quoted, pcrs=PCR_SELECTIONS, digest=DIGEST),
    ST.ATTEST_CREATION: record(Created, name=NAME, creation_hash=DIGEST),
}
_ATTESTATIONS: Final[dict[type[Attested], ST]] = {
    Certified: ST.ATTEST_CERTIFY,
    Quoted: ST.ATTEST_QUOTE,
    Created: ST.ATTEST_CREATION,
}


class Attest(Struct, frozen=True):
    """TPMS_ATTEST: what a TPM signs of itself. It always begins with `GENERATED`."""

    signer: bytes  # its qualified name
    extra: bytes  # what the verifier wanted to stand here: a nonce
    clock: ClockInfo
    firmware: int
    attested: Attested

    @property
    def type(self) -> ST:
        return _ATTESTATIONS[type(self.attested)]


class NotGenerated(Malformed):
    """It does not begin as what a TPM attests does: anybody can have made it."""


class OtherAttestation(Malformed):
    """It attests something that we have no use for."""


def _read_attest(reader: Reader) -> Attest:
    magic = UINT32.read(reader)
    if magic != GENERATED:
        raise NotGenerated(f"it begins with {magic:#010x}, and not as a TPM's own words do")
    kind = UINT16.read(reader)
    if kind not in _ATTESTED:
        raise OtherAttestation(f"an attestation of the type {kind:#06x}")
    signer, extra = NAME.read(reader), sized(66).read(reader)
    clock, firmware = CLOCK_INFO.read(reader), UINT64.read(reader)
    return Attest(signer, extra, clock, firmware, _ATTESTED[ST(kind)].read(reader))


def _write_attest(value: Attest) -> bytes:
    return b"".join(
        (
            UINT32.write(GENERATED),
            UINT16.write(value.type),
            NAME.write(value.signer),
            BUFFER.write(value.extra),
            CLOCK_INFO.write(value.clock),
            UINT64.write(value.firmware),
            _ATTESTED[value.type].write(value.attested),
        )
    )


ATTEST: Final[Codec[Attest]] = Codec(write=_write_attest, read=_read_attest)


# --- signatures ------------------------------------------------------------------------


class RsaSignature(Struct, frozen=True):
    algorithm: ALG  # RSASSA or RSAPSS
    hash: ALG
    value: bytes


class EcSignature(Struct, frozen=True):
    algorithm: ALG  # ECDSA
    hash: ALG
    r: bytes
    s: bytes


Signature = RsaSignature | EcSignature


def _signature_of(algorithm: ALG) -> Codec[Any]:
    if algorithm is ALG.ECDSA:
        return record(
            EcSignature, algorithm=empty(algorithm), hash=HASH, r=sized(128), s=sized(128)
        )
    return record(RsaSignature, algorithm=empty(algorithm), hash=HASH, value=sized(512))


SIGNATURE: Final[Codec[Signature]] = chosen_by(
    ALGORITHM,
    {each: _signature_of(each) for each in (ALG.RSASSA, ALG.RSAPSS, ALG.ECDSA)},
    lambda value: value.algorithm,
)


# --- contexts, credentials, capabilities --------------------------------------------------


class Context(Struct, frozen=True):
    """TPMS_CONTEXT: an object or session that was taken out of the TPM, encrypted by it."""

    sequence: int
    saved_handle: int
    hierarchy: int
    blob: bytes


CONTEXT: Final = record(
    Context, sequence=UINT64, saved_handle=UINT32, hierarchy=UINT32, blob=BUFFER
)


class IdObject(Struct, frozen=True):
    """TPMS_ID_OBJECT: a credential, encrypted to one TPM and bound to the name of one key."""

    integrity: bytes
    encrypted: bytes


def _read_id_object(reader: Reader) -> IdObject:
    return IdObject(DIGEST.read(reader), reader.rest())


ID_OBJECT: Final[Codec[IdObject]] = Codec(
    write=lambda value: DIGEST.write(value.integrity) + value.encrypted, read=_read_id_object
)


class Property(Struct, frozen=True):
    """TPMS_TAGGED_PROPERTY, TPMS_ALG_PROPERTY."""

    number: int
    value: int


_CAPABILITIES: Final[dict[CAP, Codec[Any]]] = {
    CAP.ALGS: listed(record(Property, number=UINT16, value=UINT32), MOST_LISTED),
    CAP.HANDLES: listed(UINT32, 254),
    CAP.COMMANDS: listed(UINT32, 256),
    CAP.PCRS: PCR_SELECTIONS,
    CAP.TPM_PROPERTIES: listed(record(Property, number=UINT32, value=UINT32), MOST_LISTED),
    CAP.ECC_CURVES: listed(UINT16, 508),
}


class Capability(Struct, frozen=True):
    """TPMS_CAPABILITY_DATA: `data` is a tuple of handles, properties, ...; see `_CAPABILITIES`."""

    kind: CAP
    data: tuple[Any, ...]


def _read_capability(reader: Reader) -> Capability:
    kind = one_of(CAP, UINT32).read(reader)
    return Capability(kind, _CAPABILITIES[kind].read(reader))


CAPABILITY: Final[Codec[Capability]] = Codec(
    write=lambda value: UINT32.write(value.kind) + _CAPABILITIES[value.kind].write(value.data),
    read=_read_capability,
)


class NvPublic(Struct, frozen=True):
    """TPMS_NV_PUBLIC."""

    index: int
    name_algorithm: ALG
    attributes: int
    policy: bytes
    size: int


NV_PUBLIC: Final = record(
    NvPublic, index=UINT32, name_algorithm=HASH, attributes=UINT32, policy=DIGEST, size=UINT16
)
