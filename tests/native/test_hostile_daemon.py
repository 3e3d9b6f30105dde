"""A daemon that lies, cuts off and mumbles: an error each time, never a crash or a hang."""

import ctypes
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tests.native.driver import ULONG, Attribute, Failed, Mechanism, Module
from tests.native.fake_daemon import SLOT, Failure, FakeDaemon

from keyholm.wire.pkcs11.constants import CKA, CKM, CKR

WORKED = "GetSlotList"


class Program:
    """Its buffers have a margin, which must stay as it is."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.session = 0
        self.memory = ctypes.create_string_buffer(b"\xa5" * 1024, 1024)
        self.numbers = (ULONG * 8)()
        self.length = ULONG()

    def start(self, daemon: FakeDaemon) -> None:
        daemon.mangle = None
        info = ctypes.create_string_buffer(64)
        while self.module.GetSessionInfo(self.session, info) != CKR.OK:
            # It may still be about to hang up after its last lie.
            with suppress(Failed):
                self.session = self.module.open_session(SLOT)

    def room(self, size: int) -> tuple[Any, Any]:
        self.length.value = size
        return self.memory, ctypes.byref(self.length)

    def attribute(self) -> Any:
        kinds = (CKA.LABEL, CKA.CLASS, CKA.ALLOWED_MECHANISMS, CKA.TOKEN)
        at = ctypes.addressof(self.memory)
        self.inner = (Attribute * 2)(Attribute(0, at + 512, 8), Attribute(0, at + 600, 8))
        wraps = Attribute(CKA.WRAP_TEMPLATE, ctypes.addressof(self.inner), 48)
        plain = (Attribute(kind, at + 128 * n, 32) for n, kind in enumerate(kinds))
        self.template = (Attribute * 5)(*plain, wraps)
        return self.template


def slots(program: Program) -> int:
    return int(program.module.GetSlotList(1, program.numbers, ctypes.byref(ULONG(4))))


def token(program: Program) -> int:
    return int(program.module.GetTokenInfo(SLOT, program.memory))


def session(program: Program) -> int:
    return int(program.module.OpenSession(SLOT, 4, None, None, ctypes.byref(ULONG())))


def attributes(program: Program) -> int:
    template = program.attribute()
    return int(program.module.GetAttributeValue(program.session, 1, template, 5))


def find(program: Program) -> int:
    program.module.FindObjectsInit(program.session, None, 0)
    wanted = (program.session, program.numbers, 4, ctypes.byref(ULONG()))
    return int(program.module.FindObjects(*wanted))


def sign(program: Program) -> int:
    mechanism = ctypes.byref(Mechanism(CKM.ECDSA))
    rv = program.module.SignInit(program.session, mechanism, 1)
    if rv != CKR.OK:
        return int(rv)
    return int(program.module.Sign(program.session, b"data", 4, *program.room(128)))


def refused(program: Program) -> int:
    return int(program.module.SeedRandom(program.session, b"", 0))


CALLS: dict[str, tuple[Callable[[Program], int], tuple[str, ...]]] = {
    "slots": (slots, ("GetSlotList",)),
    "token": (token, ("GetTokenInfo",)),
    "session": (session, ("OpenSession",)),
    "attributes": (attributes, ("GetAttributeValue",)),
    "find": (find, ("FindObjects",)),
    "find with attributes": (find, ("FindObjectsWith",)),
    "begin": (sign, ("Begin",)),
    "sign": (sign, ("Sign",)),
    "sign at once": (sign, ("SignOnce",)),
    "error": (refused, ("SeedRandom",)),
}


@pytest.fixture(params=CALLS)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def program(module: Module, daemon: FakeDaemon, case: str) -> Program:
    def handler(*_: object) -> tuple[()]:
        raise Failure(CKR.FUNCTION_NOT_SUPPORTED, "What happened.", "What to do.")

    daemon.handlers["SeedRandom"] = handler
    made = Program(module)
    made.start(daemon)
    if case in ("find", "begin", "sign"):
        daemon.begin_flags = 0
    elif case == "find with attributes":
        attributes(made)
    return made


def frame_of(program: Program, daemon: FakeDaemon, case: str) -> bytes:
    """A good answer to the call."""
    call, names = CALLS[case]
    seen: list[bytes] = []

    def look(name: str, frame: bytes) -> bytes:
        if name in names:
            seen.append(frame)
        return frame

    for _ in range(2):
        program.start(daemon)
        daemon.mangle = look
        call(program)
    assert seen, "the case never comes to its call"
    return seen[-1]


def answer(
    program: Program, daemon: FakeDaemon, case: str, change: Callable[[bytes], bytes | None]
) -> int:
    call, names = CALLS[case]
    program.start(daemon)
    if case == "sign at once":
        call(program)
    daemon.mangle = lambda name, frame: change(frame) if name in names else frame
    rv = call(program)
    if case in ("find", "find with attributes"):
        program.module.FindObjectsFinal(program.session)
    if rv == CKR.OPERATION_ACTIVE:  # the init that got lost was one
        program.module.SignInit(program.session, None, 0)
    return rv


def cut(size: int, frame: bytes) -> bytes:
    return frame[:size]


def is_code(rv: int) -> bool:
    return 0 <= rv <= 0xFFFFFFFF


def test_an_answer_that_is_cut_anywhere_is_a_device_error(
    program: Program, daemon: FakeDaemon, case: str
) -> None:
    good = frame_of(program, daemon, case)
    for size in range(len(good)):
        daemon.cut = True
        assert answer(program, daemon, case, partial(cut, size)) == (CKR.DEVICE_ERROR), size
    daemon.cut = False
    program.start(daemon)


def test_a_body_that_ends_too_early_is_a_device_error(
    program: Program, daemon: FakeDaemon, case: str
) -> None:
    """The frame is whole, and says how long it is; what is in it is not."""
    good = frame_of(program, daemon, case)
    options = len(daemon.options)
    for size in range(len(good) - 12 - options):

        def shorten(frame: bytes, size: int = size) -> bytes:
            head = struct.pack(">III", *struct.unpack_from(">II", frame), size)
            return head + frame[12 : 12 + options + size]

        assert answer(program, daemon, case, shorten) == CKR.DEVICE_ERROR, size
    program.start(daemon)


def test_a_body_with_something_behind_it_is_a_device_error(
    program: Program, daemon: FakeDaemon, case: str
) -> None:
    frame_of(program, daemon, case)

    def lengthen(frame: bytes) -> bytes:
        code, options, size = struct.unpack_from(">III", frame)
        return struct.pack(">III", code, options, size + 1) + frame[12:] + b"\0"

    assert answer(program, daemon, case, lengthen) == CKR.DEVICE_ERROR
    assert answer(program, daemon, case, lambda frame: frame + b"\0") == CKR.DEVICE_ERROR


def changes(good: bytes) -> Iterator[tuple[int, int]]:
    for at in range(len(good)):
        for bit in range(8):
            yield at, 1 << bit


def test_a_bit_that_turned_over_harms_nobody(
    program: Program, daemon: FakeDaemon, case: str
) -> None:
    good = frame_of(program, daemon, case)
    every = list(changes(good))
    # A length that grew makes the module wait for the rest: then the fake must hang up.
    for at, bit in random.Random(case).sample(every, min(len(every), 400)):

        def turn(frame: bytes, at: int = at, bit: int = bit) -> bytes:
            changed = bytearray(frame)
            if at < len(changed):
                changed[at] ^= bit
            return bytes(changed)

        daemon.cut = True
        assert is_code(answer(program, daemon, case, turn))
        assert program.memory.raw[1000:] == b"\xa5" * 24
    daemon.cut = False
    program.start(daemon)


@pytest.mark.parametrize("number", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
def test_a_length_that_is_mad_harms_nobody(
    program: Program, daemon: FakeDaemon, case: str, number: int
) -> None:
    good = frame_of(program, daemon, case)
    for at in range(len(good) - 4):

        def replace(frame: bytes, at: int = at) -> bytes:
            return frame[:at] + number.to_bytes(4) + frame[at + 4 :]

        daemon.cut = True
        assert is_code(answer(program, daemon, case, replace))
    assert program.memory.raw[1000:] == b"\xa5" * 24
    daemon.cut = False
    program.start(daemon)


def test_noise_harms_nobody(module: Module, daemon: FakeDaemon) -> None:
    noise = random.Random(1)
    for _ in range(300):
        daemon.cut = True
        daemon.mangle = lambda _, frame: frame[:12] + noise.randbytes(noise.randrange(200))
        assert slots(Program(module)) == CKR.DEVICE_ERROR
    daemon.cut, daemon.mangle = False, None
    assert module.slots() == [SLOT]


@pytest.mark.parametrize(
    "hello",
    [
        b"\x80",
        b"\x80\0\0\0\x1f" + bytes(31),
        b"\x80\0\0\x10\x01" + bytes(4097),
        b"\x80\xff\xff\xff\xff" + bytes(64),
        b"\x02",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_hello_that_is_none_is_no_daemon(
    module: Module, daemon: FakeDaemon, hello: bytes
) -> None:
    daemon.hello, daemon.stop_after_hello = hello, True
    assert module.slots() == []
    daemon.hello, daemon.stop_after_hello = None, False
    assert module.slots() == [SLOT]


def test_later_additions_to_a_hello_are_passed_over(module: Module, daemon: FakeDaemon) -> None:
    body = bytes(8) + bytes(4) + b"t" * 16 + (1 << 20).to_bytes(4) + b"later" * 100
    daemon.hello = b"\x80" + len(body).to_bytes(4) + body
    assert module.slots() == [SLOT]


def test_an_error_without_an_error_is_not_believed(module: Module, daemon: FakeDaemon) -> None:
    def handler(*_: object) -> tuple[()]:
        raise Failure(0)

    daemon.handlers["GetSlotInfo"] = handler
    memory = ctypes.create_string_buffer(256)
    assert module.GetSlotInfo(SLOT, memory) == CKR.DEVICE_ERROR
    daemon.mangle = lambda name, frame: frame[:12] + frame[12:].replace(b"uzz", b"uzy")
    assert module.GetSlotInfo(SLOT, memory) == CKR.DEVICE_ERROR
