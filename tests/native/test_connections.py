"""Connections: how many, what they say first, and what happens when the daemon goes and comes."""

import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.native.driver import ULONG, Failed, Module
from tests.native.fake_daemon import SLOT, FakeDaemon, signature

from keyholm.wire.pkcs11.constants import CKM, CKR

ECDSA = (CKM.ECDSA, 0, None)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


# --- the first bytes ------------------------------------------------------------------------------


def test_the_first_bytes_and_the_hello_come_in_one_write(
    module: Module, daemon: FakeDaemon
) -> None:
    module.slots()
    (hello,) = daemon.hellos
    assert len(hello) == 38
    length, features, version, width, pid = struct.unpack_from(">IQIBI", hello, 1)
    assert (hello[0], length, features, version) == (0x80, 33, 0, 0x00010000)
    assert (width, pid, hello[22:]) == (ctypes.sizeof(ULONG), os.getpid(), bytes(16))


def test_a_request_comes_in_one_write(module: Module, session: int, daemon: FakeDaemon) -> None:
    """The fake reads once, and has the whole of it."""
    module.sign_at_once(session, 1, b"data" * 1000)
    for raw in daemon.raw_requests:
        code, options, body = struct.unpack_from(">III", raw)
        assert (code > 0, options, body) == (True, 0, len(raw) - 12)


def test_no_request_has_the_number_of_the_one_before(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    for _ in range(3):
        module.sign_at_once(session, 1, b"data")
    codes = [struct.unpack_from(">I", raw)[0] for raw in daemon.raw_requests]
    assert len(set(codes)) == len(codes)


def test_one_thread_has_one_connection(module: Module, session: int, daemon: FakeDaemon) -> None:
    for _ in range(20):
        module.sign_at_once(session, 1, b"data")
    assert (daemon.connections, len(daemon.hellos)) == (1, 1)


def test_threads_have_connections_of_their_own_in_one_application(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    together = threading.Barrier(8)

    def slow(_: object, arguments: list[Any]) -> tuple[int]:
        together.wait()
        return (len(arguments),)

    daemon.handlers["GetObjectSize"] = slow
    with ThreadPoolExecutor(8) as pool:
        sizes = [ULONG() for _ in range(8)]
        rvs = pool.map(lambda size: module.GetObjectSize(session, 1, ctypes.byref(size)), sizes)
        assert set(rvs) == {CKR.OK}
    assert daemon.connections == 8
    (application,) = daemon.applications
    tokens = [hello[22:] for hello in daemon.hellos]
    assert tokens == [bytes(16)] + [application] * 7


def test_more_calls_than_connections_wait_for_one(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    go = threading.Event()

    def slow(*_: object) -> tuple[int]:
        go.wait()
        return (1,)

    daemon.handlers["GetObjectSize"] = slow
    with ThreadPoolExecutor(80) as pool:
        calls = [
            pool.submit(module.GetObjectSize, session, 1, ctypes.byref(ULONG())) for _ in range(80)
        ]
        wait_for(lambda: daemon.count("GetObjectSize") == 64)
        time.sleep(0.05)
        assert daemon.connections == 64
        go.set()
        assert {call.result() for call in calls} == {CKR.OK}
    assert daemon.connections == 64


def test_twenty_four_threads_use_one_session(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    """The standard wants one operation at a time; what it wants of us is not to fall over."""
    seen: set[int] = set()

    def work(number: int) -> int:
        good = 0
        for _ in range(60):
            try:
                good += len(module.sign_at_once(session, 1, b"%d" % number)) == 64
            except Failed as failed:
                seen.add(failed.rv)
            module.read(session, 1, 3)
            assert module.session_info(session).slot == SLOT
        return good

    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(work, range(24))) > 0
    assert seen <= {CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED}
    assert daemon.connections <= 24


def test_the_end_of_the_library_closes_every_connection(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    module.finalize()
    wait_for(lambda: daemon.connections == 0)
    assert not daemon.applications
    module.initialize()
    assert module.CloseSession(session) == CKR.SESSION_HANDLE_INVALID


def test_c_finalize_cuts_calls_that_are_under_way(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    go = threading.Event()

    def slow(*_: object) -> tuple[int]:
        go.wait()
        return (1,)

    daemon.handlers["GetObjectSize"] = slow
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(module.GetObjectSize, session, 1, ctypes.byref(ULONG())) for _ in range(4)
        ]
        wait_for(lambda: daemon.count("GetObjectSize") == 4)
        module.finalize()
        assert {call.result() for call in calls} == {CKR.CRYPTOKI_NOT_INITIALIZED}
        go.set()
    module.initialize()
    assert module.slots() == [SLOT]


# --- slot events ----------------------------------------------------------------------------------


def test_a_slot_event_is_waited_for_beside_other_calls(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    go = threading.Event()

    def event(*_: object) -> tuple[int]:
        go.wait()
        return (9,)

    daemon.handlers["WaitForSlotEvent"] = event
    slot = ULONG()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(module.WaitForSlotEvent, 0, ctypes.byref(slot), None)
        wait_for(lambda: daemon.count("WaitForSlotEvent") == 1)
        assert module.sign_at_once(session, 1, b"data") == signature(ECDSA, 1, b"data")
        go.set()
        assert (waiting.result(), slot.value) == (CKR.OK, 9)


def test_c_finalize_ends_the_wait_for_a_slot_event(module: Module, daemon: FakeDaemon) -> None:
    go = threading.Event()

    def never(*_: object) -> tuple[int]:
        go.wait()
        return (9,)

    daemon.handlers["WaitForSlotEvent"] = never
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(module.WaitForSlotEvent, 0, ctypes.byref(ULONG()), None)
        wait_for(lambda: daemon.count("WaitForSlotEvent") == 1)
        module.finalize()
        assert waiting.result() == CKR.CRYPTOKI_NOT_INITIALIZED
        go.set()
    module.initialize()


# --- a daemon that goes and comes -----------------------------------------------------------------


def test_after_a_restart_old_sessions_are_invalid_and_new_ones_work(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    daemon.stop()
    daemon.start()
    # The new daemon counts from where it likes; the old handle must not name its first session.
    daemon._next_session = 0
    opened = module.open_session(SLOT)
    with pytest.raises(Failed) as refused:
        module.sign_at_once(session, 1, b"data")
    assert refused.value.rv == CKR.SESSION_HANDLE_INVALID
    assert module.sign_at_once(opened, 1, b"data") == signature(ECDSA, 1, b"data")


def test_a_session_of_before_is_invalid_at_the_first_call_already(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")
    daemon.stop()
    daemon.start()
    module.sign_init(session, 1)  # held, so nobody could tell
    with pytest.raises(Failed) as refused:
        module.sign(session, b"data")
    assert refused.value.rv == CKR.SESSION_HANDLE_INVALID
    assert module.slots() == [SLOT]


def test_who_asks_whether_a_session_still_works_learns_that_it_does_not(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    assert module.session_info(session).slot == SLOT
    daemon.stop()
    with pytest.raises(Failed) as refused:
        module.session_info(session)
    assert refused.value.rv == CKR.SESSION_HANDLE_INVALID


def test_while_there_is_no_daemon_there_are_no_slots_and_sessions(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    daemon.stop()
    with pytest.raises(Failed) as refused:
        module.sign_init(session, 1)
    assert refused.value.rv == CKR.SESSION_HANDLE_INVALID
    assert module.slots() == []
    with pytest.raises(Failed) as refused:
        module.open_session(SLOT)
    assert refused.value.rv == CKR.DEVICE_REMOVED


def test_a_daemon_that_dies_in_a_call_is_a_device_error(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    daemon.mangle = lambda *_: None
    rv = module.SeedRandom(session, b"", 0)
    assert rv == CKR.DEVICE_ERROR
    daemon.mangle = None
    # It was the only connection, so the application ended with it.
    assert module.CloseSession(session) == CKR.SESSION_HANDLE_INVALID
    assert module.open_session(SLOT)


def test_the_application_lives_while_one_connection_does(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    together = threading.Barrier(2)

    def slow(*_: object) -> tuple[int]:
        together.wait()
        return (1,)

    daemon.handlers["GetObjectSize"] = slow
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: module.GetObjectSize(session, 1, ctypes.byref(ULONG())), "ab"))
    daemon.mangle = lambda name, frame: None if name == "Logout" else frame
    assert module.Logout(session) == CKR.DEVICE_ERROR
    assert daemon.connections == 1
    assert module.sign_at_once(session, 1, b"data") == signature(ECDSA, 1, b"data")


def has_grown(daemon: FakeDaemon, count: int) -> bool:
    return daemon.count("SignOnce") > count


def test_eight_threads_sign_on_after_the_daemon_was_killed(
    module: Module, daemon: FakeDaemon
) -> None:
    """They get errors, never a wrong answer, and none hangs."""
    stop = threading.Event()
    expected = signature(ECDSA, 1, b"data")
    seen: set[int] = set()

    def work(_: int) -> tuple[int, int]:
        good, bad, session = 0, 0, 0
        while not stop.is_set():
            try:
                session = session or module.open_session(SLOT)
                assert module.sign_at_once(session, 1, b"data") == expected
                good += 1
            except Failed as failed:
                seen.add(failed.rv)
                session, bad = 0, bad + 1
        return good, bad

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        for _ in range(5):
            wait_for(partial(has_grown, daemon, daemon.count("SignOnce") + 20))
            daemon.stop()
            time.sleep(0.02)
            daemon.start()
        wait_for(partial(has_grown, daemon, daemon.count("SignOnce") + 50))
        stop.set()
        results = [each.result() for each in working]
    assert all(good and bad for good, bad in results)
    assert seen <= {CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED, CKR.SESSION_HANDLE_INVALID}


# --- descriptors that others close ----------------------------------------------------------------


def descriptor_of(path: Path) -> int:
    """Of this process, connected to the socket at `path`."""
    for name in os.listdir("/proc/self/fd"):
        try:
            connected = socket.socket(fileno=int(name))
        except OSError:
            continue
        try:
            if connected.getpeername() == str(path):
                return int(name)
        except OSError:
            continue
        finally:
            connected.detach()
    raise AssertionError("no connection")


def test_a_number_that_the_program_gave_to_another_file_is_not_closed(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    number = descriptor_of(daemon.path)
    os.close(number)
    reading, writing = os.pipe()
    try:
        if reading != number:
            os.dup2(reading, number)
        module.finalize()
        os.fstat(number)
    finally:
        for each in {reading, writing, number}:
            os.close(each)
        module.initialize()


def test_a_connection_is_not_inherited_by_other_programs(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    assert not os.get_inheritable(descriptor_of(daemon.path))


# --- spinning -------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["0", "60", "5000", "none of that", "-3"])
def test_any_setting_of_the_spin_gives_the_same_answers(
    loaded: Module, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("KEYHOLM_SPIN_US", setting)
    loaded.initialize()
    try:
        session = loaded.open_session(SLOT)
        for number in range(40):
            daemon.options = [b"", b"\0", b"\1", b"\1later"][number % 4]
            assert loaded.sign_at_once(session, 1, b"x") == signature(ECDSA, 1, b"x")
    finally:
        loaded.finalize()
