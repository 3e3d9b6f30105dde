"""The serving loop: whole frames, bounded, one thread a client, and nobody kept waiting."""

import fcntl
import os
import shutil
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from keyholm.core.caller import Peer
from keyholm.doors.serving import FIRST_BUFFER, Connection, Limits, Serving, listen

LIMITS = Limits(frame=64 * 1024, frame_seconds=0.3)
Start = Callable[..., Serving]


def echo(connection: Connection) -> None:
    for frame in connection.frames():
        connection.send(bytes(frame))


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path that is short enough for a socket, whoever runs the tests."""
    made = Path(tempfile.mkdtemp(prefix="kh", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    running: list[Serving] = []

    def begin(
        serve: Callable[[Connection], None] = echo,
        accepts: Callable[[Peer], bool] = lambda peer: True,
        limits: Limits = LIMITS,
    ) -> Serving:
        listener = listen(str(folder / "s"))
        serving = Serving(listener, serve, accepts=accepts, limits=limits, name="test")
        serving.start()
        running.append(serving)
        return serving

    yield begin
    for serving in running:
        serving.stop()


@pytest.fixture
def client(folder: Path) -> Iterator[Callable[[], socket.socket]]:
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(5)
        connected.connect(str(folder / "s"))
        made.append(connected)
        return connected

    yield connect
    for connected in made:
        connected.close()


Connect = Callable[[], socket.socket]


def frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def receive(connected: socket.socket) -> bytes:
    """One frame; empty when the other side has closed."""
    head = connected.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return b""
    return connected.recv(int.from_bytes(head), socket.MSG_WAITALL)


def test_frames_come_back_whole(start: Start, client: Connect) -> None:
    start()
    connected = client()
    for data in (b"a", b"b" * 200, b"c" * LIMITS.frame):
        connected.sendall(frame(data))
        assert receive(connected) == data


def test_several_frames_in_one_piece(start: Start, client: Connect) -> None:
    start()
    connected = client()
    parts = [bytes([n]) * (n * 300 + 1) for n in range(20)]
    connected.sendall(b"".join(map(frame, parts)))
    assert [receive(connected) for _ in parts] == parts


def test_a_frame_byte_by_byte(start: Start, client: Connect) -> None:
    start()
    connected = client()
    for byte in frame(b"slowly"):
        connected.sendall(bytes([byte]))
    assert receive(connected) == b"slowly"


@pytest.mark.parametrize("size", [0, LIMITS.frame + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_length_that_may_not_be_ends_the_connection(
    start: Start, client: Connect, size: int
) -> None:
    start()
    connected = client()
    connected.sendall(struct.pack(">I", size) + b"x")
    assert receive(connected) == b""


def test_a_boastful_length_allocates_nothing(start: Start, client: Connect) -> None:
    grown = []

    def watch(connection: Connection) -> None:
        for _ in connection.frames():
            pass
        grown.append(len(connection._buffer.view))

    start(watch, limits=Limits(frame=256 * 1024 * 1024, frame_seconds=0.2))
    client().sendall(struct.pack(">I", 200 * 1024 * 1024) + b"x" * 10)
    wait_for(lambda: bool(grown))
    assert grown == [FIRST_BUFFER]


def test_a_half_frame_is_cut_off_after_a_while_and_an_idle_client_is_not(
    start: Start, client: Connect
) -> None:
    start()
    idle, slow = client(), client()
    slow.sendall(frame(b"whole")[:-1])
    assert receive(slow) == b""
    idle.sendall(frame(b"still here"))
    assert receive(idle) == b"still here"


def feed(connected: socket.socket, data: bytes) -> bool:
    """A byte now and then; whether the other side took them all."""
    for byte in data:
        try:
            connected.sendall(bytes([byte]))
        except OSError:
            return False
        time.sleep(0.05)
    return True


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(start: Start, client: Connect) -> None:
    start()
    assert not feed(client(), frame(b"x" * 300))


def test_a_secret_that_comes_a_byte_now_and_then_is_cut_off(start: Start, client: Connect) -> None:
    taken = []

    def take(connection: Connection) -> None:
        for _ in connection.frames():
            taken.append(connection.receive_into(memoryview(bytearray(300))))
            return

    start(take)
    connected = client()
    connected.sendall(frame(b"a secret follows"))
    assert not feed(connected, b"x" * 300)
    assert taken == [False]


def test_a_client_that_does_not_read_is_cut_off(start: Start, client: Connect) -> None:
    serving = start()
    greedy = client()
    greedy.settimeout(0.2)
    try:
        while True:
            greedy.sendall(frame(b"x" * LIMITS.frame))
    except OSError:
        pass
    wait_for(lambda: serving.connections == 0)


def test_who_is_not_accepted_gets_no_word(start: Start, client: Connect) -> None:
    start(accepts=lambda peer: peer.uid != os.getuid())
    connected = client()
    assert connected.recv(1) == b""


def test_no_more_clients_than_the_limits_allow(start: Start, client: Connect) -> None:
    start(limits=Limits(frame=100, connections_of_uid=3))
    inside = [client() for _ in range(3)]
    for connected in inside:
        connected.sendall(frame(b"in"))
        assert receive(connected) == b"in"
    assert client().recv(1) == b""
    inside[0].close()
    time.sleep(0.05)
    again = client()
    again.sendall(frame(b"in"))
    assert receive(again) == b"in"


def test_an_error_nobody_expected_costs_one_connection(
    start: Start, client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def fail(connection: Connection) -> None:
        for received in connection.frames():
            if bytes(received) == b"fail":
                raise RuntimeError("a mistake of ours")
            connection.send(bytes(received))

    start(fail)
    for _ in range(20):
        unlucky = client()
        unlucky.sendall(frame(b"fail"))
        assert receive(unlucky) == b""
    lucky = client()
    lucky.sendall(frame(b"fine"))
    assert receive(lucky) == b"fine"
    wait_for(lambda: len(told) == 20)


def test_many_clients_at_once(start: Start, client: Connect) -> None:
    serving = start()
    clients = [client() for _ in range(300)]
    for number, connected in enumerate(clients):
        connected.sendall(frame(b"%d" % number))
    assert [receive(connected) for connected in clients] == [b"%d" % n for n in range(300)]
    for connected in clients:
        connected.close()
    wait_for(lambda: serving.connections == 0)
    # Threads beyond those that wait for the next client have ended.
    wait_for(lambda: threading.active_count() < 20)


def test_slow_clients_keep_nobody_waiting(start: Start, client: Connect) -> None:
    start(limits=Limits(frame=1000, frame_seconds=5))
    for _ in range(50):
        client().sendall(b"\0\0")
    quick = client()
    begun = time.monotonic()
    for _ in range(100):
        quick.sendall(frame(b"quick"))
        assert receive(quick) == b"quick"
    assert time.monotonic() - begun < 5


def test_clients_that_vanish_leave_nothing(start: Start, client: Connect) -> None:
    serving = start()
    for cut in range(1, 40):
        connected = client()
        connected.sendall((frame(b"x" * 20) * 2)[:cut])
        connected.close()
    wait_for(lambda: serving.connections == 0)


def test_a_request_in_progress_is_answered_before_the_end(start: Start, client: Connect) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        for received in connection.frames():
            began.set()
            go_on.wait(5)
            connection.send(bytes(received))

    serving = start(slow)
    connected = client()
    connected.sendall(frame(b"last words"))
    began.wait(5)
    threading.Timer(0.1, go_on.set).start()
    serving.stop(grace=5)
    assert receive(connected) == b"last words"


def test_secrets_that_follow_a_frame_go_straight_to_their_place(
    start: Start, client: Connect
) -> None:
    def take(connection: Connection) -> None:
        for received in connection.frames():
            secret = bytearray(received[0])
            assert connection.receive_into(memoryview(secret))
            connection.send(bytes(secret))

    start(take)
    connected = client()
    connected.sendall(frame(b"\5") + b"hello" + frame(b"\3") + b"abc")
    assert (receive(connected), receive(connected)) == (b"hello", b"abc")
    connected.sendall(frame(b"\5") + b"he")
    time.sleep(0.05)
    connected.sendall(b"llo")
    assert receive(connected) == b"hello"


def unread(connected: socket.socket) -> bool:
    """Whether the kernel still has something that was sent here and not received."""
    return bool(struct.unpack("i", fcntl.ioctl(connected, termios.TIOCOUTQ, bytes(4)))[0])


def taken(connected: socket.socket) -> bool:
    return not unread(connected)


def test_a_request_is_taken_when_its_answer_was_sent_so_that_nobody_is_woken_for_it(
    start: Start, client: Connect
) -> None:
    left = []

    def look(connection: Connection) -> None:
        for received in connection.frames():
            left.append(unread(connected))
            connection.send(bytes(received))

    start(look)
    for data in (b"a", b"short", b"long" * 500):  # the first of each, since who asks on and on
        connected = client()  # does not sleep
        connected.sendall(frame(data))
        assert receive(connected) == data
        wait_for(partial(taken, connected))
    assert left == [True] * 3


def test_a_secret_is_wiped_though_its_frame_was_not_taken_yet(
    start: Start, client: Connect
) -> None:
    after = []

    def wipe(connection: Connection) -> None:
        for received in connection.frames():
            connection.wipe(received)
            connection.send(b"done")
            after.append(bytes(received))

    start(wipe)
    connected = client()
    connected.sendall(frame(b"secret") + frame(b"another"))
    assert (receive(connected), receive(connected)) == (b"done", b"done")
    wait_for(lambda: len(after) == 2)
    assert after == [bytes(6), bytes(7)]


def test_a_client_whose_request_is_not_answered_sees_the_end_and_no_error(
    start: Start, client: Connect
) -> None:
    start(lambda connection: next(connection.frames(), None))
    connected = client()
    connected.sendall(frame(b"?"))
    assert receive(connected) == b""


def test_the_socket_is_private_from_its_first_moment(folder: Path) -> None:
    path = folder / "private"
    before = os.umask(0)
    try:
        listen(str(path)).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
