"""The module as a program sees it: loaded from its file, called through its function list.

Python's ctypes releases the interpreter's lock in a call, so threads really run at once.
"""

import ctypes
from pathlib import Path
from typing import Any, ClassVar

from keyholm.wire.pkcs11.calls import CALLS, Call
from keyholm.wire.pkcs11.constants import CKF, CKM, CKR
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2

ULONG = ctypes.c_ulong
UNAVAILABLE = ULONG(-1).value
BY_FUNCTION: dict[str, Call] = {
    call.function.removeprefix("C_"): call for call in CALLS if call.function
}
# As ctypes has it.
Fields = Any
SERIAL = CKF.SERIAL_SESSION


class Version(ctypes.Structure):
    _fields_: ClassVar[Fields] = (("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte))


class Attribute(ctypes.Structure):
    _fields_: ClassVar[Fields] = (("type", ULONG), ("value", ctypes.c_void_p), ("length", ULONG))


class Mechanism(ctypes.Structure):
    _fields_: ClassVar[Fields] = (
        ("mechanism", ULONG),
        ("parameter", ctypes.c_void_p),
        ("length", ULONG),
    )


class SessionInfo(ctypes.Structure):
    _fields_: ClassVar[Fields] = tuple(
        (name, ULONG) for name in ("slot", "state", "flags", "error")
    )


class InitializeArguments(ctypes.Structure):
    _fields_: ClassVar[Fields] = (
        *((name, ctypes.c_void_p) for name in ("create", "destroy", "lock", "unlock")),
        ("flags", ULONG),
        ("reserved", ctypes.c_void_p),
    )


class Interface(ctypes.Structure):
    _fields_: ClassVar[Fields] = (
        ("name", ctypes.c_char_p),
        ("functions", ctypes.c_void_p),
        ("flags", ULONG),
    )


class Failed(Exception):
    def __init__(self, function: str, rv: int) -> None:
        super().__init__(f"{function}: {CKR.name(rv)}")
        self.rv = rv


def _c_type(kind: str) -> Any:
    values = ("CK_SLOT_ID", "CK_SESSION_HANDLE", "CK_OBJECT_HANDLE", "CK_FLAGS", "CK_ULONG")
    if kind == "CK_BBOOL":
        return ctypes.c_ubyte
    if kind in (*values, "CK_MECHANISM_TYPE", "CK_USER_TYPE", "CK_SESSION_VALIDATION_FLAGS_TYPE"):
        return ULONG
    return ctypes.c_void_p


def _function(name: str, address: int) -> Any:
    arguments = [_c_type(kind) for kind, _ in BY_FUNCTION[name].prototype]
    return ctypes.CFUNCTYPE(ULONG, *arguments)(address)


class Module:
    """`module.Sign(...)` gives the CK_RV of C_Sign; the methods below raise `Failed`."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.interfaces = {
            version: self._interface(*version) for version in ((3, 2), (3, 0), (2, 40))
        }
        for name, function in self.interfaces[3, 2].items():
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def _interface(self, major: int, minor: int) -> dict[str, Any]:
        found = ctypes.POINTER(Interface)()
        version = Version(major, minor)
        wanted = (b"PKCS 11", ctypes.byref(version), ctypes.byref(found), ULONG(1))
        assert self.library.C_GetInterface(*wanted) == CKR.OK
        assert found.contents.name == b"PKCS 11"
        listed = Version.from_address(found.contents.functions)
        assert (listed.major, listed.minor) == (major, minor)
        names = {(2, 40): IN_2_40, (3, 0): (*IN_2_40, *IN_3_0)}
        functions = names.get((major, minor), (*IN_2_40, *IN_3_0, *IN_3_2))
        word = ctypes.sizeof(ctypes.c_void_p)
        pointers = (ctypes.c_void_p * len(functions)).from_address(found.contents.functions + word)
        return {
            name: _function(name, address or 0)
            for name, address in zip(functions, pointers, strict=True)
        }

    def check(self, function: str, *arguments: Any) -> None:
        rv = getattr(self, function)(*arguments)
        if rv != CKR.OK:
            raise Failed(f"C_{function}", rv)

    def initialize(self, arguments: InitializeArguments | None = None) -> None:
        self.check("Initialize", ctypes.byref(arguments) if arguments else None)

    def finalize(self) -> None:
        self.check("Finalize", None)

    def slots(self) -> list[int]:
        count = ULONG()
        self.check("GetSlotList", 1, None, ctypes.byref(count))
        slots = (ULONG * max(1, count.value))()
        self.check("GetSlotList", 1, slots, ctypes.byref(count))
        return list(slots[: count.value])

    def open_session(self, slot: int, flags: int = SERIAL) -> int:
        session = ULONG()
        self.check("OpenSession", slot, flags, None, None, ctypes.byref(session))
        return session.value

    def session_info(self, session: int) -> SessionInfo:
        info = SessionInfo()
        self.check("GetSessionInfo", session, ctypes.byref(info))
        return info

    def login(self, session: int, pin: bytes = b"1234") -> None:
        self.check("Login", session, 1, pin, len(pin))

    def find(self, session: int, *template: Attribute, at_once: int = 16) -> list[int]:
        attributes = (Attribute * len(template))(*template)
        self.check("FindObjectsInit", session, attributes, len(template))
        found: list[int] = []
        handles, count = (ULONG * at_once)(), ULONG()
        while True:
            self.check("FindObjects", session, handles, at_once, ctypes.byref(count))
            if not count.value:
                break
            found += handles[: count.value]
        self.check("FindObjectsFinal", session)
        return found

    def read(self, session: int, handle: int, kind: int, room: int = 64) -> bytes:
        memory = ctypes.create_string_buffer(max(1, room))
        attribute = Attribute(kind, ctypes.addressof(memory), room)
        self.check("GetAttributeValue", session, handle, ctypes.byref(attribute), 1)
        return memory.raw[: attribute.length]

    def sign_init(self, session: int, key: int, mechanism: int = CKM.ECDSA) -> None:
        self.check("SignInit", session, ctypes.byref(Mechanism(mechanism)), key)

    def sign(self, session: int, data: bytes) -> bytes:
        memory, length = ctypes.create_string_buffer(256), ULONG(256)
        self.check("Sign", session, data, len(data), memory, ctypes.byref(length))
        return memory.raw[: length.value]

    def sign_at_once(self, session: int, key: int, data: bytes) -> bytes:
        self.sign_init(session, key)
        return self.sign(session, data)


def attribute(kind: int, value: bytes | int) -> Attribute:
    """Its memory lives as long as the attribute does."""
    memory: Any = ULONG(value) if isinstance(value, int) else ctypes.create_string_buffer(value)
    size = ctypes.sizeof(ULONG) if isinstance(value, int) else len(value)
    made = Attribute(kind, ctypes.addressof(memory), size)
    made.memory = memory
    return made
