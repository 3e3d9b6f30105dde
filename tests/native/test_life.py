"""Starting and ending, with and without a daemon, and what the user reads then."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.native.driver import BY_FUNCTION, ULONG, Failed, InitializeArguments, Module, Version
from tests.native.fake_daemon import SLOT, Failure, FakeDaemon

from keyholm.wire.pkcs11.constants import CKF, CKR
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2

Capture = pytest.CaptureFixture[str]
LIBP11_KIT = "libp11-kit.so.0"
NEED_NO_LIBRARY = {"Initialize", "GetFunctionList", "GetInterface", "GetInterfaceList"}


def arguments_of_nothing(name: str) -> list[int | None]:
    """0 and NULL everywhere."""
    pointers = ("PTR", "*", "NOTIFY")
    return [
        None if any(word in kind for word in pointers) else 0
        for kind, _ in BY_FUNCTION[name].prototype
    ]


@pytest.mark.parametrize("name", [*IN_2_40, *IN_3_0, *IN_3_2])
def test_before_c_initialize_every_function_says_so(loaded: Module, name: str) -> None:
    if name in NEED_NO_LIBRARY:
        return
    assert getattr(loaded, name)(*arguments_of_nothing(name)) == CKR.CRYPTOKI_NOT_INITIALIZED


@pytest.mark.parametrize(
    ("mutexes", "flags"),
    [
        pytest.param(0, 0, id="one thread"),
        pytest.param(0, CKF.OS_LOCKING_OK, id="the system's locks"),
        pytest.param(4, 0, id="the program's mutexes"),
        pytest.param(4, CKF.OS_LOCKING_OK, id="either"),
        pytest.param(0, CKF.LIBRARY_CANT_CREATE_OS_THREADS, id="no threads of ours"),
    ],
)
def test_every_well_formed_way_to_initialize_works(
    loaded: Module, place: Path, mutexes: int, flags: int
) -> None:
    arguments = InitializeArguments(*([1] * mutexes + [None] * (4 - mutexes)), flags, None)
    loaded.initialize(arguments)
    loaded.finalize()


def test_a_second_c_initialize_is_refused_and_harmless(module: Module) -> None:
    assert module.Initialize(None) == CKR.CRYPTOKI_ALREADY_INITIALIZED
    module.finalize()
    assert module.Finalize(None) == CKR.CRYPTOKI_NOT_INITIALIZED
    module.initialize()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(InitializeArguments(reserved=1), id="reserved"),
        pytest.param(InitializeArguments(create=1), id="one mutex function of four"),
        pytest.param(InitializeArguments(create=1, destroy=1, lock=1), id="three of four"),
    ],
)
def test_malformed_arguments_of_c_initialize_are_refused(
    loaded: Module, arguments: InitializeArguments
) -> None:
    assert loaded.Initialize(ctypes.byref(arguments)) == CKR.ARGUMENTS_BAD
    assert loaded.Finalize(None) == CKR.CRYPTOKI_NOT_INITIALIZED


def test_c_finalize_wants_no_argument(module: Module) -> None:
    assert module.Finalize(ctypes.byref(ULONG(1))) == CKR.ARGUMENTS_BAD


def test_the_lists_of_all_versions_hold_the_same_functions(loaded: Module) -> None:
    oldest = ctypes.c_void_p()
    assert loaded.library.C_GetFunctionList(ctypes.byref(oldest)) == CKR.OK
    assert Version.from_address(oldest.value or 0).major == 2
    for name, function in loaded.interfaces[2, 40].items():
        addresses = [
            ctypes.cast(functions[name], ctypes.c_void_p).value
            for functions in loaded.interfaces.values()
        ]
        assert len(set(addresses)) == 1, (name, function)


def test_the_list_of_interfaces_is_told_with_its_length(loaded: Module) -> None:
    count = ULONG(0)
    assert loaded.GetInterfaceList(None, ctypes.byref(count)) == CKR.OK
    assert count.value == 3
    room = (ctypes.c_char * 4096)()
    count = ULONG(2)
    assert loaded.GetInterfaceList(room, ctypes.byref(count)) == CKR.BUFFER_TOO_SMALL
    assert count.value == 3
    assert loaded.GetInterfaceList(room, ctypes.byref(count)) == CKR.OK
    assert loaded.GetInterfaceList(None, None) == CKR.ARGUMENTS_BAD


@pytest.mark.parametrize(
    ("name", "version", "flags"),
    [(b"PKCS 12", None, 0), (b"PKCS 11", Version(2, 20), 0), (None, None, 2)],
    ids=["name", "version", "flags"],
)
def test_an_interface_that_is_not_ours_is_not_given(
    loaded: Module, name: bytes | None, version: Version | None, flags: int
) -> None:
    found = ctypes.c_void_p()
    wanted = ctypes.byref(version) if version else None
    rv = loaded.GetInterface(name, wanted, ctypes.byref(found), flags)
    assert rv == CKR.FUNCTION_FAILED


def test_without_a_name_the_newest_interface_is_given(loaded: Module) -> None:
    found = ctypes.POINTER(ctypes.c_void_p)()
    assert loaded.GetInterface(None, None, ctypes.byref(found), 0) == CKR.OK


def test_c_get_info_needs_no_daemon(module: Module) -> None:
    info = ctypes.create_string_buffer(128)
    assert module.GetInfo(info) == CKR.OK
    assert info.raw[:2] == b"\3\2"
    assert info.raw[2:34] == b"keyholm".ljust(32)


def test_without_a_daemon_there_are_no_slots_and_the_user_reads_why(
    module: Module, place: Path, capfd: Capture
) -> None:
    assert module.slots() == []
    assert module.slots() == []
    assert capfd.readouterr().err == (
        f"keyholm: the daemon is not running (no socket at {place}). "
        "Start it with `keyholm serve`.\n"
    )


def test_a_daemon_that_is_started_later_is_found(module: Module, place: Path) -> None:
    assert module.slots() == []
    with FakeDaemon(place):
        assert module.slots() == [SLOT]


def test_what_is_no_daemon_of_ours_is_named(module: Module, place: Path, capfd: Capture) -> None:
    with FakeDaemon(place) as daemon:
        daemon.hello = b"\0"
        daemon.stop_after_hello = True
        assert module.slots() == []
    assert "does not answer as keyholm does" in capfd.readouterr().err


def test_a_path_that_is_too_long_is_named(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("KEYHOLM_PKCS11", str(tmp_path / ("x" * 200)))
    assert module.slots() == []
    assert "too long" in capfd.readouterr().err


def test_a_session_without_a_daemon_is_refused(module: Module) -> None:
    with pytest.raises(Failed) as refused:
        module.open_session(SLOT)
    assert refused.value.rv == CKR.DEVICE_REMOVED


def test_no_event_comes_without_a_daemon(module: Module, place: Path) -> None:
    slot = ULONG()
    assert module.WaitForSlotEvent(1, ctypes.byref(slot), None) == CKR.NO_EVENT
    # NSS then polls by itself.
    rv = module.WaitForSlotEvent(0, ctypes.byref(slot), None)
    assert rv == CKR.FUNCTION_NOT_SUPPORTED


# --- what is said ---------------------------------------------------------------------------------


def refuse(code: int) -> Callable[..., tuple[()]]:
    def handler(*_: object) -> tuple[()]:
        raise Failure(code, "The policy of this key says no.", "See `keyholm why`.")

    return handler


@pytest.mark.parametrize("code", [CKR.FUNCTION_REJECTED, CKR.GENERAL_ERROR, CKR.PIN_LOCKED])
def test_the_sentence_of_an_error_that_programs_cannot_tell_is_printed_once(
    module: Module, session: int, daemon: FakeDaemon, capfd: Capture, code: int
) -> None:
    daemon.handlers["Begin"] = refuse(code)
    for _ in range(3):
        with pytest.raises(Failed) as refused:
            module.sign_init(session, 1)
        assert refused.value.rv == code
    said = capfd.readouterr()
    assert said.err == "keyholm: The policy of this key says no. See `keyholm why`.\n"
    assert said.out == ""


def test_an_error_of_normal_use_is_not_printed(
    module: Module, session: int, daemon: FakeDaemon, capfd: Capture
) -> None:
    with pytest.raises(Failed) as refused:
        module.login(session, b"0000")
    assert refused.value.rv == CKR.PIN_INCORRECT
    assert capfd.readouterr().err == ""


def test_keyholm_verbose_prints_every_sentence_with_its_function(
    module: Module, session: int, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("KEYHOLM_VERBOSE", "1")
    with pytest.raises(Failed):
        module.login(session, b"0000")
    assert capfd.readouterr().err == "keyholm: C_Login (0xa0): The PIN is wrong. Try again.\n"


def test_a_sentence_cannot_steer_the_terminal(
    module: Module, session: int, daemon: FakeDaemon, capfd: Capture
) -> None:
    def handler(*_: object) -> tuple[()]:
        raise Failure(CKR.GENERAL_ERROR, "a\x1b[2Jb\r\nc\x7f" + "long" * 1000)

    daemon.handlers["Begin"] = handler
    with pytest.raises(Failed):
        module.sign_init(session, 1)
    said = capfd.readouterr().err
    assert said.startswith("keyholm: a?[2Jb??c?long")
    assert len(said) == 1024


def test_no_token_at_all_is_explained(module: Module, daemon: FakeDaemon, capfd: Capture) -> None:
    daemon.handlers["GetSlotList"] = lambda *_: ((),)
    assert module.slots() == []
    assert "there is no token that this program may see" in capfd.readouterr().err


def test_who_searched_in_vain_reads_so_at_the_end(
    module: Module, session: int, daemon: FakeDaemon, capfd: Capture
) -> None:
    daemon.objects.clear()
    assert module.find(session) == []
    assert capfd.readouterr().err == ""
    module.finalize()
    assert "was shown no key" in capfd.readouterr().err


def test_who_found_something_reads_nothing(
    module: Module, session: int, daemon: FakeDaemon, capfd: Capture
) -> None:
    assert module.find(session)
    module.finalize()
    assert capfd.readouterr() == ("", "")


UNDER_P11_KIT = """
import ctypes, sys
sys.path[:0] = {path!r}
ctypes.CDLL({library!r})
from pathlib import Path
from tests.native.driver import Module
module = Module(Path({module!r}))
module.initialize()
assert module.slots() == []
module.finalize()
"""


def test_under_p11_kit_nothing_is_said(built: Path, place: Path) -> None:
    """It loads every module into every program."""
    try:
        ctypes.CDLL(LIBP11_KIT)
    except OSError:
        pytest.skip("no libp11-kit0")
    program = UNDER_P11_KIT.format(path=sys.path, library=LIBP11_KIT, module=str(built))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    without = program.replace("ctypes.CDLL", "str")
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, env=os.environ)
    assert done.returncode == 0
    assert b"the daemon is not running" in done.stderr
