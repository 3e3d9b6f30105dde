"""A module in this process: loaded, its functions found, started.

    library = Library.load("/usr/lib/softhsm/libsofthsm2.so")
    library.initialize("configdir='sql:...'")     what NSS wants as pReserved
    library.functions["SignInit"](session, mechanism, key)

Each failure is a `LoadFailed` that says at which step.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final, NamedTuple

from keyholm.stores.modules.binding.failing import refused
from keyholm.stores.modules.binding.memory import Memory, read
from keyholm.stores.modules.binding.sessions import Sessions
from keyholm.stores.modules.binding.structures import layout
from keyholm.wire.pkcs11.calls import CALLS, Call
from keyholm.wire.pkcs11.constants import CKF, CKR
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2
from keyholm.wire.pkcs11.mechanisms import FORMS
from keyholm.wire.pkcs11.parameters import Form

Function = Callable[..., int]

STANDARD: Final = b"PKCS 11\0"
MOST_INTERFACES: Final = 64

# What a module that cannot lock says to a program that has threads.
_NO_THREADS: Final = (CKR.CANT_LOCK, CKR.NEED_TO_CREATE_THREADS)
_BLOCKS: Final = "WaitForSlotEvent"


class LoadFailed(Exception):
    """A module that cannot be used: at which step, and in whose words."""

    def __init__(self, step: str, what: str, code: int = CKR.OK) -> None:
        super().__init__(step, what, code)
        self.step = step  # "load", "interface", "initialize"
        self.what = what
        self.code = code


class Interface(NamedTuple):
    version: tuple[int, int]
    functions: int  # the address of the list


class Library:
    def __init__(self, path: "str | os.PathLike[str]", interface: Interface) -> None:
        self.path = path
        self.version = interface.version
        self.functions: dict[str, Function] = dict(_functions(interface))
        self.sessions = Sessions()
        self.is_serial = False
        self.forms: dict[int, Form] = FORMS

    @classmethod
    def load(cls, path: "str | os.PathLike[str]") -> "Library":
        try:
            loaded = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        except OSError as error:
            raise LoadFailed("load", str(error)) from error
        return cls(path, _interface(loaded))

    @property
    def can_cancel(self) -> bool:
        """A mechanism that is NULL ends an operation since 3.0; before, modules follow it."""
        return self.version >= (3, 0)

    def initialize(self, reserved: str = "") -> None:
        rv = self._initialize(reserved, CKF.OS_LOCKING_OK)
        if rv in _NO_THREADS:
            rv = self._initialize(reserved, 0)
            self._serialise()
        # A library that initialises itself when it is loaded is as good.
        if rv not in (CKR.OK, CKR.CRYPTOKI_ALREADY_INITIALIZED):
            failed = refused("C_Initialize", rv)
            raise LoadFailed("initialize", failed.what, failed.code)

    def finalize(self) -> None:
        finalize = self.functions.get("Finalize")
        if finalize is not None:
            finalize(None)

    def _initialize(self, reserved: str, flags: int) -> int:
        initialize = self.functions.get("Initialize")
        if initialize is None:
            raise LoadFailed("interface", "The module has no C_Initialize.")
        memory = Memory(1024)
        kind = layout("CK_C_INITIALIZE_ARGS")
        arguments = bytearray(kind.size)
        kind.put_ulong(arguments, "flags", flags)
        # Modules keep the string's address; it is never freed.
        kind.put_pointer(
            arguments, "pReserved", memory.put(reserved.encode()) if reserved else None
        )
        _KEPT.append(memory)
        return initialize(memory.put(arguments))

    def _serialise(self) -> None:
        """One call at a time, as the module has no locks. One that waits would stop all others."""
        self.is_serial = True
        lock = Lock()
        self.functions = {
            name: _locked(function, lock)
            for name, function in self.functions.items()
            if name != _BLOCKS
        }


_KEPT: Final[list[Memory]] = []


def _locked(function: Function, lock: Lock) -> Function:
    def call(*arguments: Any) -> int:
        with lock:
            return function(*arguments)

    return call


def _interface(loaded: ctypes.CDLL) -> Interface:
    """The newest of the standard's interfaces that we know."""
    found = max(_interfaces(loaded), default=None)
    if found is None:
        found = _oldest(loaded)
    major, minor = found.version
    if major not in (2, 3):
        raise LoadFailed("interface", f"The module has PKCS#11 {major}.{minor}: 2 and 3 are known.")
    return found


def _interfaces(loaded: ctypes.CDLL) -> Iterator[Interface]:
    get_list = _symbol(loaded, "C_GetInterfaceList", ctypes.c_void_p, ctypes.c_void_p)
    if get_list is None:
        return
    kind = layout("CK_INTERFACE")
    count = ctypes.c_ulong()
    if get_list(None, ctypes.addressof(count)) or not 0 < count.value <= MOST_INTERFACES:
        return
    promised = count.value
    memory = Memory(promised * kind.size)
    address = memory.room(promised * kind.size)
    if get_list(address, ctypes.addressof(count)) or count.value > promised:
        return
    rows = read(address, count.value * kind.size)
    for at in range(0, len(rows), kind.size):
        row = rows[at : at + kind.size]
        name, functions = kind.pointer(row, "pInterfaceName"), kind.pointer(row, "pFunctionList")
        if not name or not functions or read(name, len(STANDARD)) != STANDARD:
            continue
        major, minor = read(functions, 2)
        if major in (2, 3):
            yield Interface((major, minor), functions)


def _oldest(loaded: ctypes.CDLL) -> Interface:
    get = _symbol(loaded, "C_GetFunctionList", ctypes.c_void_p)
    if get is None:
        raise LoadFailed("interface", "It is no PKCS#11 module: it has no C_GetFunctionList.")
    pointer = ctypes.c_void_p()
    rv = get(ctypes.addressof(pointer))
    if rv:
        failed = refused("C_GetFunctionList", rv)
        raise LoadFailed("interface", failed.what, failed.code)
    if not pointer.value:
        raise LoadFailed("interface", "C_GetFunctionList of the module gave no list.")
    major, minor = read(pointer.value, 2)
    # A list of this function ends with those of 2.40, also if it says that it is of 3.0.
    return Interface((2, 40) if major == 3 else (major, minor), pointer.value)


def _symbol(loaded: ctypes.CDLL, name: str, *arguments: Any) -> Function | None:
    try:
        address = ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value
    except AttributeError:
        return None
    return ctypes.CFUNCTYPE(ctypes.c_ulong, *arguments)(address) if address else None


def _functions(interface: Interface) -> Iterator[tuple[str, Function]]:
    """Those that are there: a pointer that is NULL is a function that the module has not."""
    listed = _names(interface.version)
    word = ctypes.sizeof(ctypes.c_void_p)
    pointers = (ctypes.c_void_p * len(listed)).from_address(interface.functions + word)
    for name, address in zip(listed, pointers, strict=True):
        if address:
            yield name, _prototype(_CALLS[name])(address)


def _names(version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (3, 2):
        return (*IN_2_40, *IN_3_0, *IN_3_2)
    if version >= (3, 0):
        return (*IN_2_40, *IN_3_0)
    # C_WaitForSlotEvent came with 2.01.
    return IN_2_40 if version >= (2, 1) else IN_2_40[:-1]


_CALLS: Final[dict[str, Call]] = {
    call.function.removeprefix("C_"): call for call in CALLS if call.function
}
_NUMBERS: Final = ("CK_ULONG", "CK_FLAGS", "CK_SLOT_ID", "CK_USER_TYPE", "CK_MECHANISM_TYPE")


def _prototype(call: Call) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_ulong, *(_argument(kind) for kind, _ in call.prototype))


def _argument(kind: str) -> Any:
    if kind in _NUMBERS or kind.endswith(("_HANDLE", "_TYPE")):
        return ctypes.c_ulong
    return ctypes.c_ubyte if kind == "CK_BBOOL" else ctypes.c_void_p
