"""Commands of TPM 2.0 (Part 3), each described once: its handles, what it takes, what it gives.

    body = encode(CREATE, [parent], parameters_of(CREATE, sensitive, template, b"", ()), sessions)
    answer = decode(CREATE, reply, with_sessions=True)

A frame is a tag, its size, the code, the handles, then (with sessions) the authorizations, then
the parameters. The first parameter can be encrypted if it is a sized buffer; see `sessions`.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from keyholm.wire.codec import Bytes, Codec, Malformed, Reader, record
from keyholm.wire.tpm2.constants import CAP, CC, SE, SESSION, ST
from keyholm.wire.tpm2.structures import (
    ATTEST,
    CAPABILITY,
    CONTEXT,
    CREATION_DATA,
    DIGESTS,
    HASH,
    NV_PUBLIC,
    PCR_SELECTIONS,
    POINT,
    PUBLIC_2B,
    SCHEME,
    SIGNATURE,
    SYMMETRIC,
    TICKET,
)
from keyholm.wire.tpm2.types import (
    BUFFER,
    DIGEST,
    NAME,
    UINT16,
    UINT32,
    YES_NO,
    attributes,
    one_of,
    sized,
    sized_of,
    write_sized,
)

HEAD_SIZE: Final = 10
MOST_FRAME: Final = 4096
MOST_SESSIONS: Final = 3


class Refused(Exception):
    """The TPM answered with a response code instead: see `responses.response`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number:#05x}")
        self.number = number


# --- what crosses only in commands ------------------------------------------------------


class Sensitive(Struct, frozen=True):
    """TPMS_SENSITIVE_CREATE: the PIN of a new object, and what is to be sealed."""

    auth: Bytes = b""
    data: Bytes = b""

    def __repr__(self) -> str:
        return "Sensitive(...)"


_VIEW: Final[Codec[Any]] = Codec(write=write_sized, read=sized().read)
SENSITIVE: Final = sized_of(record(Sensitive, auth=_VIEW, data=_VIEW))
STARTUP_CLEAR: Final = 0


# --- the table -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """`authorized` of its handles, the first ones, want an authorization each."""

    code: CC
    handles: tuple[str, ...] = ()
    authorized: int = 0
    takes: tuple[tuple[str, Codec[Any]], ...] = ()
    gives_handle: bool = False
    gives: tuple[tuple[str, Codec[Any]], ...] = ()

    @property
    def decrypts(self) -> bool:
        """Whether its first parameter can be encrypted."""
        return bool(self.takes) and self.takes[0][1] in _SIZED

    @property
    def encrypts(self) -> bool:
        """The same of the first thing that it gives."""
        return bool(self.gives) and self.gives[0][1] in _SIZED


POINT_2B: Final = sized_of(POINT)
CREATION_DATA_2B: Final = sized_of(CREATION_DATA)
ATTEST_2B: Final = sized_of(ATTEST)
NV_PUBLIC_2B: Final = sized_of(NV_PUBLIC)
SESSION_KIND: Final = one_of(SE, Codec(write=lambda v: v.to_bytes(1), read=lambda r: r.take(1)[0]))
_SIZED: Final = (
    *(BUFFER, DIGEST, NAME, SENSITIVE, PUBLIC_2B),
    *(POINT_2B, CREATION_DATA_2B, ATTEST_2B, NV_PUBLIC_2B),
)

STARTUP: Final = Command(CC.Startup, takes=(("type", UINT16),))
SHUTDOWN: Final = Command(CC.Shutdown, takes=(("type", UINT16),))
SELF_TEST: Final = Command(CC.SelfTest, takes=(("full", YES_NO),))
GET_RANDOM: Final = Command(CC.GetRandom, takes=(("count", UINT16),), gives=(("bytes", BUFFER),))
GET_CAPABILITY: Final = Command(
    CC.GetCapability,
    takes=(("kind", one_of(CAP, UINT32)), ("property", UINT32), ("count", UINT32)),
    gives=(("more", YES_NO), ("capability", CAPABILITY)),
)
START_AUTH_SESSION: Final = Command(
    CC.StartAuthSession,
    ("salt_key", "bound"),
    takes=(
        ("nonce", DIGEST),
        ("salt", BUFFER),
        ("kind", SESSION_KIND),
        ("symmetric", SYMMETRIC),
        ("hash", HASH),
    ),
    gives_handle=True,
    gives=(("nonce", DIGEST),),
)
_CREATED: Final = (
    ("public", PUBLIC_2B),
    ("creation_data", CREATION_DATA_2B),
    ("creation_hash", DIGEST),
    ("ticket", TICKET),
)
_CREATES: Final = (
    ("sensitive", SENSITIVE),
    ("template", PUBLIC_2B),
    ("outside", BUFFER),
    ("pcrs", PCR_SELECTIONS),
)
CREATE_PRIMARY: Final = Command(
    CC.CreatePrimary,
    ("hierarchy",),
    1,
    _CREATES,
    gives_handle=True,
    gives=(*_CREATED, ("name", NAME)),
)
CREATE: Final = Command(CC.Create, ("parent",), 1, _CREATES, gives=(("private", BUFFER), *_CREATED))
LOAD: Final = Command(
    CC.Load,
    ("parent",),
    1,
    (("private", BUFFER), ("public", PUBLIC_2B)),
    gives_handle=True,
    gives=(("name", NAME),),
)
IMPORT: Final = Command(
    CC.Import,
    ("parent",),
    1,
    (
        ("key", BUFFER),
        ("public", PUBLIC_2B),
        ("duplicate", BUFFER),
        ("seed", BUFFER),
        ("symmetric", SYMMETRIC),
    ),
    gives=(("private", BUFFER),),
)
READ_PUBLIC: Final = Command(
    CC.ReadPublic,
    ("object",),
    gives=(("public", PUBLIC_2B), ("name", NAME), ("qualified_name", NAME)),
)
FLUSH_CONTEXT: Final = Command(CC.FlushContext, takes=(("handle", UINT32),))
CONTEXT_SAVE: Final = Command(CC.ContextSave, ("handle",), gives=(("context", CONTEXT),))
CONTEXT_LOAD: Final = Command(CC.ContextLoad, takes=(("context", CONTEXT),), gives_handle=True)
EVICT_CONTROL: Final = Command(
    CC.EvictControl, ("hierarchy", "object"), 1, (("persistent", UINT32),)
)
OBJECT_CHANGE_AUTH: Final = Command(
    CC.ObjectChangeAuth,
    ("object", "parent"),
    1,
    (("auth", BUFFER),),
    gives=(("private", BUFFER),),
)
SIGN: Final = Command(
    CC.Sign,
    ("key",),
    1,
    (("digest", DIGEST), ("scheme", SCHEME), ("ticket", TICKET)),
    gives=(("signature", SIGNATURE),),
)
RSA_DECRYPT: Final = Command(
    CC.RSA_Decrypt,
    ("key",),
    1,
    (("ciphertext", BUFFER), ("scheme", SCHEME), ("label", BUFFER)),
    gives=(("message", BUFFER),),
)
ECDH_Z_GEN: Final = Command(
    CC.ECDH_ZGen, ("key",), 1, (("point", POINT_2B),), gives=(("shared", POINT_2B),)
)
UNSEAL: Final = Command(CC.Unseal, ("object",), 1, gives=(("data", BUFFER),))
CERTIFY: Final = Command(
    CC.Certify,
    ("object", "key"),
    2,
    (("extra", BUFFER), ("scheme", SCHEME)),
    gives=(("attest", BUFFER), ("signature", SIGNATURE)),
)
CERTIFY_CREATION: Final = Command(
    CC.CertifyCreation,
    ("key", "object"),
    1,
    (("extra", BUFFER), ("creation_hash", DIGEST), ("scheme", SCHEME), ("ticket", TICKET)),
    gives=(("attest", BUFFER), ("signature", SIGNATURE)),
)
QUOTE: Final = Command(
    CC.Quote,
    ("key",),
    1,
    (("extra", BUFFER), ("scheme", SCHEME), ("pcrs", PCR_SELECTIONS)),
    gives=(("attest", BUFFER), ("signature", SIGNATURE)),
)
ACTIVATE_CREDENTIAL: Final = Command(
    CC.ActivateCredential,
    ("key", "endorsement"),
    2,
    (("credential", BUFFER), ("secret", BUFFER)),
    gives=(("value", DIGEST),),
)
PCR_READ: Final = Command(
    CC.PCR_Read,
    takes=(("pcrs", PCR_SELECTIONS),),
    gives=(("changes", UINT32), ("pcrs", PCR_SELECTIONS), ("values", DIGESTS)),
)
NV_READ_PUBLIC: Final = Command(
    CC.NV_ReadPublic, ("index",), gives=(("public", NV_PUBLIC_2B), ("name", NAME))
)
NV_READ: Final = Command(
    CC.NV_Read,
    ("authority", "index"),
    1,
    (("size", UINT16), ("offset", UINT16)),
    gives=(("data", BUFFER),),
)
POLICY_PCR: Final = Command(
    CC.PolicyPCR, ("session",), takes=(("digest", DIGEST), ("pcrs", PCR_SELECTIONS))
)
POLICY_AUTH_VALUE: Final = Command(CC.PolicyAuthValue, ("session",))
POLICY_PASSWORD: Final = Command(CC.PolicyPassword, ("session",))
POLICY_OR: Final = Command(CC.PolicyOR, ("session",), takes=(("digests", DIGESTS),))
POLICY_COMMAND_CODE: Final = Command(CC.PolicyCommandCode, ("session",), takes=(("code", UINT32),))
POLICY_SECRET: Final = Command(
    CC.PolicySecret,
    ("entity", "session"),
    1,
    (("nonce", DIGEST), ("cp_hash", DIGEST), ("reference", DIGEST), ("expiration", UINT32)),
    gives=(("timeout", BUFFER), ("ticket", TICKET)),
)
POLICY_AUTHORIZE: Final = Command(
    CC.PolicyAuthorize,
    ("session",),
    takes=(("approved", DIGEST), ("reference", DIGEST), ("key", NAME), ("ticket", TICKET)),
)
POLICY_GET_DIGEST: Final = Command(CC.PolicyGetDigest, ("session",), gives=(("digest", DIGEST),))
LOAD_EXTERNAL: Final = Command(
    CC.LoadExternal,
    takes=(("private", BUFFER), ("public", PUBLIC_2B), ("hierarchy", UINT32)),
    gives_handle=True,
    gives=(("name", NAME),),
)
VERIFY_SIGNATURE: Final = Command(
    CC.VerifySignature,
    ("key",),
    takes=(("digest", DIGEST), ("signature", SIGNATURE)),
    gives=(("ticket", TICKET),),
)
DICTIONARY_ATTACK_LOCK_RESET: Final = Command(CC.DictionaryAttackLockReset, ("lockout",), 1)

COMMANDS: Final[dict[CC, Command]] = {
    each.code: each for each in tuple(globals().values()) if isinstance(each, Command)
}


# --- frames ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Authorization:
    """TPMS_AUTH_COMMAND and TPMS_AUTH_RESPONSE: one session beside a frame."""

    session: int
    nonce: bytes
    attributes: SESSION
    hmac: Bytes = field(repr=False)  # or a password


_SESSION_ATTRIBUTES: Final = attributes(
    SESSION, Codec(write=lambda value: value.to_bytes(1), read=lambda reader: reader.take(1)[0])
)


def parameters_of(command: Command, *values: Any) -> bytes:
    """The parameters of a command, encoded."""
    return _written(command.takes, values)


def results_of(command: Command, *values: Any) -> bytes:
    """The same of what it gives: as a TPM would say it."""
    return _written(command.gives, values)


def _written(layout: tuple[tuple[str, Codec[Any]], ...], values: tuple[Any, ...]) -> bytes:
    return b"".join([codec.write(value) for (_, codec), value in zip(layout, values, strict=True)])


def encode(
    command: Command,
    handles: tuple[int, ...],
    parameters: Bytes,
    sessions: tuple[Authorization, ...] = (),
) -> bytes:
    if len(handles) != len(command.handles):
        raise ValueError(f"{command.code.name} has the handles {command.handles}")
    area = b"".join(map(_write_authorization, sessions))
    tag = ST.SESSIONS if sessions else ST.NO_SESSIONS
    body = b"".join(map(UINT32.write, handles))
    if sessions:
        body += UINT32.write(len(area)) + area
    body += parameters
    size = HEAD_SIZE + len(body)
    return UINT16.write(tag) + UINT32.write(size) + UINT32.write(command.code) + body


def _write_authorization(value: Authorization) -> bytes:
    head = UINT32.write(value.session) + DIGEST.write(value.nonce)
    return head + _SESSION_ATTRIBUTES.write(value.attributes) + write_sized(value.hmac)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a TPM answered, its parameters still encoded: the first may be encrypted."""

    handle: int | None
    parameters: bytes = field(repr=False)
    sessions: tuple[Authorization, ...] = ()


def frame_size(head: Bytes) -> int:
    """Of a whole answer, from its first ten bytes. Raises `Malformed`."""
    size = int.from_bytes(head[2:6])
    if not HEAD_SIZE <= size <= MOST_FRAME:
        raise Malformed(f"an answer of {size} bytes")
    return size


def decode(command: Command, frame: Bytes) -> Answer:
    """Raises `Refused` and `Malformed`."""
    if len(frame) < HEAD_SIZE or frame_size(frame) != len(frame):
        raise Malformed(f"an answer of {len(frame)} bytes that says another size")
    reader = Reader(frame)
    tag, _, code = UINT16.read(reader), UINT32.read(reader), UINT32.read(reader)
    if code:
        raise Refused(code)
    if tag not in (ST.NO_SESSIONS, ST.SESSIONS):
        raise Malformed(f"an answer with the tag {tag:#06x}")
    handle = UINT32.read(reader) if command.gives_handle else None
    if tag == ST.NO_SESSIONS:
        return Answer(handle, reader.rest())
    parameters = reader.take(UINT32.read(reader))
    sessions: list[Authorization] = []
    while reader.left:
        if len(sessions) == MOST_SESSIONS:
            raise Malformed("more sessions than a command can have")
        nonce, bits = DIGEST.read(reader), _SESSION_ATTRIBUTES.read(reader)
        sessions.append(Authorization(0, nonce, bits, DIGEST.read(reader)))
    return Answer(handle, parameters, tuple(sessions))


def results(command: Command, parameters: Bytes) -> tuple[Any, ...]:
    """The values that it gives. Raises `Malformed`."""
    reader = Reader(parameters)
    values = tuple([codec.read(reader) for _, codec in command.gives])
    reader.end()
    return values
