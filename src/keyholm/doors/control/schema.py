"""What crosses the control socket: the parameters and the result of every method.

The same shapes are what `keyholm ... --json` prints, and docs/reference/control.json is
generated from them. Fields are added, never renamed or given another sense. A secret is
never among them: secrets and long blobs follow the JSON as raw bytes.
"""

from typing import Final, Literal

import msgspec

VERSION: Final = 1
MAX_FRAME: Final = 1024 * 1024
MAX_SECRET: Final = 64 * 1024
MAX_BLOB: Final = 64 * 1024 * 1024


class Shape(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Parameters: a field that is not known is a mistake of the client, and refused."""


class Answer(msgspec.Struct, kw_only=True):
    """Results."""


class Call(Shape):
    """The frame of a request; `secrets` and `blobs` are the lengths of what follows it."""

    v: int
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    secrets: list[int] = []
    blobs: list[int] = []


class Nothing(Shape):
    pass


class Done(Answer):
    pass


# --- keys ----------------------------------------------------------------------------


class Certificate(Answer):
    name: str
    public: str  # as ssh-keygen writes it
    key_id: str
    principals: list[str]
    valid_after: int  # seconds since the epoch
    valid_before: int  # 2**64 - 1: for ever


class Key(Answer):
    name: str
    id: str  # SHA-256 of the SubjectPublicKeyInfo, hexadecimal
    place: str  # store/token/object
    uri: str  # RFC 7512
    store: str
    token: str
    algorithm: str
    type: str  # as SSH calls it
    fingerprint: str
    public: str  # a line for authorized_keys
    origin: str  # generated, imported, handed-over
    exportable: bool
    created: float | None
    usable: bool  # false while its token is locked
    verified: bool  # false: shown before its token was unlocked
    policy: str  # hash; empty where there is none
    certificates: list[Certificate]


class KeyList(Answer):
    keys: list[Key]


class KeyName(Shape):
    key: str


class NewKey(Shape):
    name: str
    type: str = "ed25519"
    token: str = ""
    exportable: bool = False
    policy: str = ""  # TOML


class ImportKey(Shape):
    name: str = ""  # else the comment in the file
    token: str = ""
    exportable: bool = False
    policy: str = ""


class Rename(Shape):
    key: str
    name: str


class Sign(Shape):
    key: str
    data: str  # base64
    mechanism: str = ""  # else the usual one of the key


class Signature(Answer):
    signature: str  # base64, in PKCS#11 form
    ssh: str  # base64, as an SSH signature blob
    mechanism: str


# --- tokens --------------------------------------------------------------------------


class Slot(Answer):
    name: str
    kind: str
    cost: str


class Token(Answer):
    name: str
    store: str
    label: str
    owner: int
    locked: bool
    guarded: bool  # false: no passphrase protects it
    keys: int
    slots: list[Slot]
    damage: list[str]
    login: str  # who asks for its PIN: `application`, `daemon`; empty where it has none
    legacy: bool  # it takes triple DES and raw RSA


class Module(Answer):
    """A vendor's PKCS#11 module."""

    name: str
    library: str
    state: str  # running, idle (it starts when it is wanted), failed, wrong (its file), off
    pid: int | None
    isolation: str  # what keeps its process in; empty: it does not run
    tokens: list[str]
    crashes: int  # since the daemon began
    error: str  # the last one, empty while it works
    remedy: str


class ModuleList(Answer):
    modules: list[Module]


class TokenName(Shape):
    token: str = ""  # else the only one that fits


class SlotName(Shape):
    slot: str
    token: str = ""


class NewToken(Shape):
    name: str
    owner: int | None = None  # else the caller; only root makes tokens for others


class NewPinToken(Shape):
    label: str
    owner: int | None = None  # else the caller; only root makes tokens for others
    login: Literal["application", "daemon"] = "daemon"  # who asks for the user's PIN
    legacy: bool = False  # triple DES and raw RSA, for old programs


class MadeToken(Answer):
    name: str


class Restored(Shape):
    name: str
    owner: int | None = None  # else the caller


# --- policy --------------------------------------------------------------------------


class Policy(Answer):
    toml: str
    hash: str


class SetPolicy(Shape):
    key: str
    toml: str


class Explain(Shape):
    key: str
    pid: int
    door: str = "agent"
    namespace: str = ""  # as if it signed for this SSHSIG namespace


class Step(Answer):
    rule: str
    outcome: str
    reason: str


class Explanation(Answer):
    program: str
    via: str
    allowed: bool
    steps: list[Step]


# --- certificates, agent, daemon -----------------------------------------------------


class AddCertificate(Shape):
    key: str
    name: str
    certificate: str  # a line, as ssh-keygen writes it


class CertificateName(Shape):
    key: str
    name: str


class Restore(Answer):
    restored: int


class Door(Answer):
    name: str
    path: str
    connections: int


class Trail(Answer):
    directory: str
    origin: str
    records: int
    durability: str
    reserve: int  # bytes kept for what must be recorded on a full disk
    available: bool


class Status(Answer):
    version: str
    pid: int
    uid: int
    started: float
    tokens: list[Token]
    damage: dict[str, str]  # tokens that cannot be opened, and why
    doors: list[Door]
    trail: Trail
    sandbox: dict[str, str]
    isolation: str  # what a vendor's module is kept in by
    memory_locked: bool
    steward: bool
    prompters: dict[str, str]  # name and why it cannot ask; empty: it can


class Prompted(Answer):
    prompter: str
    granted: bool
    reason: str  # of a refusal: denied, timeout, cancelled
