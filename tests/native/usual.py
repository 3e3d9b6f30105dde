"""What a program does in a usual session, step by step, and what it saw of each step.

The frames of exactly this session are kept in tests/vectors/pkcs11/dialect-1. It sends no PIN
and no key.
"""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.native.driver import ULONG, UNAVAILABLE, Attribute, Mechanism, Module, attribute

from keyholm.core.model import Algorithm
from keyholm.core.policy import OPEN, Policy, parse
from keyholm.wire.pkcs11.constants import CKA, CKF, CKK, CKM, CKO, CKR

# The token that the session was recorded with: the keys, in this order, and what binds them.
KEYS: Final[tuple[tuple[str, Algorithm, Policy], ...]] = (
    ("p256", Algorithm.ECDSA_P256, OPEN),
    ("ed25519", Algorithm.ED25519, OPEN),
    ("rsa", Algorithm.RSA_2048, OPEN),
    ("git only", Algorithm.ECDSA_P256, parse('namespaces = ["git"]')),
)
READ: Final = (CKA.LABEL, CKA.ID, CKA.KEY_TYPE, CKA.CLASS)
SLOT: Final = 0
NO_OBJECT: Final = 0x7000
ID: Final = b"id of ours"
# RFC 8032, 7.1, test 2, and the curve's name (RFC 8410) as CKA_EC_PARAMS has it.
EDWARDS: Final = bytes.fromhex("06032b6570")
PUBLIC: Final = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNED: Final = b"\x72"
SIGNATURE: Final = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
NONCE: Final = bytes(range(12))

Outcome = list[Any]
Step = Callable[[], Any]


class Ended(Exception):
    """A function gave an error: that is what the program saw."""

    def __init__(self, rv: int) -> None:
        super().__init__(CKR.name(rv))
        self.rv = rv


@dataclass
class Usual:
    """The program. Handles are its own affair; all else that it sees is told."""

    module: Module
    session: int = 0
    made: list[int] = field(default_factory=list)

    def steps(self) -> Iterator[tuple[str, Step]]:
        yield "what the library is", self.info
        yield "slots", self.slots
        yield "token", self.token
        yield "mechanisms", self.mechanisms
        yield "open a session", self.open
        yield "list for the first time", self.list
        yield "list again", self.list
        yield "give an id", self.give_id
        yield "find by id", lambda: len(self.module.find(self.session, attribute(CKA.ID, ID)))
        yield "find nothing", lambda: self.module.find(self.session, attribute(CKA.ID, b"none"))
        yield "read what it has not", lambda: self.read("p256", CKA.MODULUS)
        yield "sign by P-256", lambda: self.sign("p256", CKM.ECDSA, bytes(32))
        yield "and in one call", lambda: self.sign("p256", CKM.ECDSA, bytes(32))
        yield "sign by Ed25519", lambda: self.sign("ed25519", CKM.EDDSA, b"data")
        yield "sign by RSA", lambda: self.sign("rsa", CKM.SHA256_RSA_PKCS, b"data")
        yield "sign in parts", self.sign_in_parts
        yield "take a public key", self.take_public_key
        yield "verify", lambda: self.verify(SIGNED)
        yield "verify what is wrong", lambda: self.verify(b"else")
        yield "sign by a key that is bound", lambda: self.sign("git only", CKM.ECDSA, bytes(32))
        yield "sign by no key", lambda: self.check("SignInit", self.session, *self._of(CKM.ECDSA))
        yield "sign by a wrong mechanism", lambda: self.sign("p256", CKM.SHA256_RSA_PKCS, b"data")
        yield "digest", self.digest
        yield "random bytes", self.random
        yield "make a secret key", self.generate
        yield "encrypt", self.encrypt
        yield "keep data", self.create
        yield "change it", self.change
        yield "destroy it", lambda: self.check("DestroyObject", self.session, self.made[-1])
        yield "destroy it again", lambda: self.check("DestroyObject", self.session, self.made[-1])
        yield "session", lambda: self.module.session_info(self.session).state
        yield "close", lambda: self.check("CloseSession", self.session)
        yield "a closed session", lambda: self.check("FindObjectsInit", self.session, None, 0)

    def run(self) -> dict[str, Outcome]:
        """Of each step the CK_RV that ended it, and what it gave."""
        seen: dict[str, Outcome] = {}
        for name, step in self.steps():
            try:
                seen[name] = [CKR.OK, _plain(step())]
            except Ended as ended:
                seen[name] = [ended.rv, None]
        return seen

    def check(self, function: str, *arguments: Any) -> None:
        rv = getattr(self.module, function)(*arguments)
        if rv != CKR.OK:
            raise Ended(rv)

    # --- the steps ---

    def info(self) -> bytes:
        memory = ctypes.create_string_buffer(256)
        self.check("GetInfo", memory)
        return memory.raw[2:34]  # the manufacturer, after the version

    def slots(self) -> list[int]:
        return self.module.slots()

    def token(self) -> bytes:
        memory = ctypes.create_string_buffer(1024)
        self.check("GetSlotInfo", SLOT, memory)
        self.check("GetTokenInfo", SLOT, memory)
        return memory.raw[:80]  # label, manufacturer, model

    def mechanisms(self) -> int:
        count = ULONG()
        self.check("GetMechanismList", SLOT, None, ctypes.byref(count))
        found = (ULONG * count.value)()
        self.check("GetMechanismList", SLOT, found, ctypes.byref(count))
        info = (ULONG * 3)()
        self.check("GetMechanismInfo", SLOT, CKM.ECDSA, info)
        return len({CKM.ECDSA, CKM.EDDSA, CKM.SHA256_RSA_PKCS} & set(found))

    def open(self) -> None:
        self.session = self.module.open_session(SLOT, CKF.SERIAL_SESSION | CKF.RW_SESSION)

    def list(self) -> list[bytes]:
        private = attribute(CKA.CLASS, CKO.PRIVATE_KEY)
        return [
            self.module.read(self.session, handle, kind)
            for handle in self.module.find(self.session, private)
            for kind in READ
        ]

    def read(self, label: str, kind: int) -> int:
        wanted = Attribute(kind, None, 0)
        rv = self.module.GetAttributeValue(self.session, self.key(label), ctypes.byref(wanted), 1)
        assert wanted.length == UNAVAILABLE
        return int(rv)

    def key(self, label: str) -> int:
        named = attribute(CKA.CLASS, CKO.PRIVATE_KEY), attribute(CKA.LABEL, label.encode())
        (found,) = self.module.find(self.session, *named)
        return found

    def give_id(self) -> None:
        given = attribute(CKA.ID, ID)
        key = self.key("p256")
        self.check("SetAttributeValue", self.session, key, ctypes.byref(given), 1)

    @staticmethod
    def _of(kind: int, key: int = NO_OBJECT) -> tuple[Any, int]:
        return ctypes.byref(Mechanism(kind)), key

    def sign(self, label: str, mechanism: int, data: bytes) -> bytes:
        self.check("SignInit", self.session, *self._of(mechanism, self.key(label)))
        return self.result("Sign", data, len(data))

    def result(self, function: str, *arguments: Any) -> bytes:
        memory, size = ctypes.create_string_buffer(512), ULONG(512)
        self.check(function, self.session, *arguments, memory, ctypes.byref(size))
        return memory.raw[: size.value]

    def sign_in_parts(self) -> bytes:
        self.check("SignInit", self.session, *self._of(CKM.SHA256_RSA_PKCS, self.key("rsa")))
        for part in (b"da", b"ta"):
            self.check("SignUpdate", self.session, part, len(part))
        return self.result("SignFinal")

    def take_public_key(self) -> None:
        self._create(
            attribute(CKA.CLASS, CKO.PUBLIC_KEY),
            attribute(CKA.KEY_TYPE, CKK.EC_EDWARDS),
            attribute(CKA.EC_PARAMS, EDWARDS),
            attribute(CKA.EC_POINT, b"\x04\x20" + PUBLIC),
            attribute(CKA.VERIFY, b"\1"),
        )

    def verify(self, data: bytes) -> None:
        self.check("VerifyInit", self.session, *self._of(CKM.EDDSA, self.made[-1]))
        self.check("Verify", self.session, data, len(data), SIGNATURE, len(SIGNATURE))

    def digest(self) -> bytes:
        self.check("DigestInit", self.session, ctypes.byref(Mechanism(CKM.SHA256)))
        return self.result("Digest", b"data", 4)

    def random(self) -> int:
        memory = ctypes.create_string_buffer(32)
        self.check("GenerateRandom", self.session, memory, 32)
        return len(set(memory.raw)) > 1

    def generate(self) -> None:
        attributes = attribute(CKA.VALUE_LEN, 32), attribute(CKA.ENCRYPT, b"\1")
        template = (Attribute * 2)(*attributes)
        made = ULONG()
        mechanism = ctypes.byref(Mechanism(CKM.AES_KEY_GEN))
        self.check("GenerateKey", self.session, mechanism, template, 2, ctypes.byref(made))
        self.made.append(made.value)

    def encrypt(self) -> bytes:
        nonce = ctypes.create_string_buffer(NONCE, len(NONCE))
        # CK_GCM_PARAMS: nonce, its length, its bits, associated data, its length, bits of the tag
        fields = (ctypes.addressof(nonce), len(NONCE), 8 * len(NONCE), 0, 0, 128)
        parameter = (ULONG * 6)(*fields)
        size = ctypes.sizeof(parameter)
        mechanism = Mechanism(CKM.AES_GCM, ctypes.addressof(parameter), size)
        self.check("EncryptInit", self.session, ctypes.byref(mechanism), self.made[-1])
        return self.result("Encrypt", b"data", 4)

    def create(self) -> None:
        self._create(
            attribute(CKA.CLASS, CKO.DATA),
            attribute(CKA.LABEL, b"notes"),
            attribute(CKA.VALUE, b"nothing that is secret"),
        )

    def _create(self, *attributes: Attribute) -> None:
        template, made = (Attribute * len(attributes))(*attributes), ULONG()
        size = len(attributes)
        self.check("CreateObject", self.session, template, size, ctypes.byref(made))
        self.made.append(made.value)

    def change(self) -> bytes:
        changed = attribute(CKA.LABEL, b"other notes")
        self.check("SetAttributeValue", self.session, self.made[-1], ctypes.byref(changed), 1)
        return self.module.read(self.session, self.made[-1], CKA.LABEL)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(each) for each in value] if isinstance(value, list) else value
