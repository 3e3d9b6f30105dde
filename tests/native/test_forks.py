"""A child that is forked in the middle of it starts clean, and its parent does not notice."""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.native.driver import ULONG, Failed, Module
from tests.native.fake_daemon import SLOT, FakeDaemon, signature
from tests.native.test_connections import descriptor_of

from keyholm.wire.pkcs11.constants import CKM, CKR

EXPECTED = signature((CKM.ECDSA, 0, None), 1, b"data")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def in_child(work: Callable[[], None]) -> None:
    """Run it in a child, which must end well."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_child_is_not_initialized_and_may_be(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.sign_at_once(session, 1, b"data")

    def child() -> None:
        assert module.GetSlotList(1, None, ctypes.byref(ULONG())) == CKR.CRYPTOKI_NOT_INITIALIZED
        assert module.CloseSession(session) == CKR.CRYPTOKI_NOT_INITIALIZED
        assert module.Finalize(None) == CKR.CRYPTOKI_NOT_INITIALIZED
        module.initialize()
        assert module.CloseSession(session) == CKR.SESSION_HANDLE_INVALID
        own = module.open_session(SLOT)
        assert module.sign_at_once(own, 1, b"data") == EXPECTED
        module.finalize()

    in_child(child)
    assert module.sign_at_once(session, 1, b"data") == EXPECTED
    assert len(daemon.hellos) == 2
    # A child is another application.
    assert daemon.hellos[1][22:] == bytes(16)


def test_a_child_closes_its_copies_and_the_parents_connection_lives_on(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    number = descriptor_of(daemon.path)
    inode = os.fstat(number).st_ino

    def child() -> None:
        assert os.fstat(number).st_ino == inode
        assert module.GetInfo(None) == CKR.CRYPTOKI_NOT_INITIALIZED
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)

    in_child(child)
    assert module.sign_at_once(session, 1, b"data") == EXPECTED
    assert len(daemon.hellos) == 1


def test_a_child_leaves_alone_what_it_put_in_the_place_of_a_copy(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    number = descriptor_of(daemon.path)

    def child() -> None:
        os.dup2(0, number)
        module.initialize()
        os.fstat(number)

    in_child(child)


def test_a_grandchild_starts_clean_as_well(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    def child() -> None:
        in_child(grandchild)
        assert module.GetInfo(None) == CKR.CRYPTOKI_NOT_INITIALIZED

    def grandchild() -> None:
        module.initialize()
        assert module.sign_at_once(module.open_session(SLOT), 1, b"data") == EXPECTED

    in_child(child)


def test_a_child_of_a_program_that_never_started_the_library_may_start_it(
    loaded: Module, daemon: FakeDaemon
) -> None:
    def child() -> None:
        loaded.initialize()
        assert loaded.slots() == [SLOT]

    in_child(child)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_forks_in_the_middle_of_use_hang_nobody(
    module: Module, daemon: FakeDaemon, count: int
) -> None:
    """Other threads hold our locks, and are in our buffers, when the child is made."""
    stop = threading.Event()

    def work(_: int) -> int:
        session, good = module.open_session(SLOT), 0
        while not stop.is_set():
            assert module.sign_at_once(session, 1, b"data") == EXPECTED
            good += 1
        return good

    def child() -> None:
        assert module.CloseAllSessions(SLOT) == CKR.CRYPTOKI_NOT_INITIALIZED
        module.initialize()
        with pytest.raises(Failed):
            module.sign_init(0x10000, 1)
        module.finalize()

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, number) for number in range(3)]
        try:
            for _ in range(count):
                in_child(child)
                # What the fake notes would fill the memory, and then nobody forks any more.
                daemon.requests.clear()
                daemon.raw_requests.clear()
        finally:
            stop.set()
        assert all(each.result() for each in working)
