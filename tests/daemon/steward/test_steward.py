"""A real steward, forked from this process, and its client."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyholm.core.caller import UNKNOWN_PROCESS, Peer, Process
from keyholm.core.errors import DaemonFailed, NoPrompter, PinIncorrect
from keyholm.core.prompt import Kind, Question
from keyholm.core.secret import Secret
from keyholm.daemon.asker import MOST_AHEAD, Asker, LooksUp
from keyholm.daemon.steward import messages
from keyholm.daemon.steward.client import MOST_IDLE, StewardClient
from keyholm.daemon.steward.identify import identify
from keyholm.daemon.steward.server import MOST_CHANNELS, Handler, Handlers, start

ME = Peer(os.getuid(), os.getgid(), os.getpid())
CONFIRM = Question(Kind.CONFIRM, "keyholm", "Allow?")
NS_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@contextmanager
def steward(
    handlers: Mapping[type, Handler] | None = None, make: Callable[[], Handlers] | None = None
) -> Iterator[StewardClient]:
    client = start(make or (lambda: handlers or {}))
    try:
        yield client
    finally:
        client.close()
        os.waitpid(client.pid, 0)


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair whose ends this process has: the kernel says that we are our own peer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def waits(
    request: messages.Ask, secret: Secret | None, channel: socket.socket
) -> tuple[messages.Message, None]:
    """A prompt that nobody answers; gone as soon as the keeper does not want to know."""
    channel.recv(1)
    raise NoPrompter("It was taken back.")


# --- looking up ----------------------------------------------------------------------


def test_a_caller_is_looked_up() -> None:
    with steward() as client, connected() as (connection, _):
        found = client.identify(ME, connection)
    assert found.pid == os.getpid()
    assert found.executable is not None
    assert found.executable.inode == os.stat(f"/proc/{os.getpid()}/exe").st_ino


def test_a_look_up_can_be_begun_before_its_answer_is_wanted() -> None:
    with steward() as client, connected() as (connection, _):
        answers = [client.look_up(ME, connection) for _ in range(20)]
        assert {look_up.answer().pid for look_up in answers} == {os.getpid()}
        client.look_up(ME, connection)  # and nobody asks
        assert client.identify(ME, connection).pid == os.getpid()


def test_what_a_crowd_needed_is_not_kept() -> None:
    with steward() as client, connected() as (connection, _):
        answers = [client.look_up(ME, connection) for _ in range(100)]
        assert {look_up.answer().pid for look_up in answers} == {os.getpid()}
        wait_for(lambda: threads_of(client.pid) <= 1 + MOST_IDLE)
        assert client.identify(ME, connection).pid == os.getpid()


def test_whose_answer_nobody_reads_is_not_looked_up_without_end() -> None:
    with steward() as client, connected() as (connection, _):
        idle = [LooksUp(client, Asker(), late=True) for _ in range(MOST_AHEAD + 50)]
        for who in idle:
            who.foresee(ME, connection)
        assert client.waiting == MOST_AHEAD
        assert {who.identify(ME, connection).pid for who in idle} == {os.getpid()}
        assert client.waiting == 0


def test_more_than_there_are_places_for_have_to_wait() -> None:
    with steward() as client, connected() as (connection, _):
        first = [client.look_up(ME, connection) for _ in range(MOST_CHANNELS)]
        found: list[Process] = []
        late = threading.Thread(target=lambda: found.append(client.identify(ME, connection)))
        late.start()
        assert {look_up.answer().pid for look_up in first} == {os.getpid()}
        late.join()
        assert found[0].pid == os.getpid()


def threads_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_many_threads_are_answered_at_once() -> None:
    found: list[Process] = []
    with steward() as client, connected() as (connection, _):
        threads = [
            threading.Thread(
                target=lambda: found.extend(client.identify(ME, connection) for _ in range(50))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 400
    assert {process.pid for process in found} == {os.getpid()}


def test_a_caller_that_ended_is_unknown(tmp_path: Path) -> None:
    with steward() as client, connected_by_another(tmp_path) as (connection, peer, program):
        assert client.identify(peer, connection).pid == peer.pid
        program.kill()
        program.wait()
        assert client.identify(peer, connection) == UNKNOWN_PROCESS


@contextmanager
def connected_by_another(
    tmp_path: Path,
) -> Iterator[tuple[socket.socket, Peer, "subprocess.Popen[bytes]"]]:
    path = str(tmp_path / "s")
    script = f"import socket, sys; s = socket.socket(1); s.connect({path!r}); sys.stdin.read()"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as program:
            try:
                connection, _ = listener.accept()
                with connection:
                    yield connection, Peer(os.getuid(), os.getgid(), program.pid), program
            finally:
                program.kill()


def test_a_process_that_got_the_number_of_an_ended_caller_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0 or not os.access(NS_LAST_PID, os.W_OK):
        pytest.skip("contract only: the next pid can be chosen by root alone")
    with steward() as client, connected_by_another(tmp_path) as (connection, peer, program):
        # As it is before Linux 6.5, which has no handle on the peer of a connection.
        by_number = LooksUp(client, Asker(), late=False)
        by_number.accepted(peer)
        program.kill()
        program.wait()
        impostor = process_with_pid(peer.pid)
        try:
            assert client.look_up_pid(peer.pid)[1].command == "sleep"
            assert client.identify(peer, connection) == UNKNOWN_PROCESS
            assert by_number.identify(peer, connection) == UNKNOWN_PROCESS
        finally:
            impostor.kill()
            impostor.wait()


def test_without_a_kernel_that_helps_a_caller_is_known_from_its_acceptance_on(
    tmp_path: Path,
) -> None:
    with steward() as client, connected_by_another(tmp_path) as (connection, peer, program):
        by_number = LooksUp(client, Asker(), late=False)
        by_number.accepted(peer)
        by_number.accepted(peer)  # of another connection of the same thread
        assert by_number.identify(peer, connection).pid == program.pid
        by_number.foresee(ME, connection)
        by_number.accepted(peer)
        program.kill()
        program.wait()
        assert by_number.identify(peer, connection) == UNKNOWN_PROCESS
        by_number.accepted(peer)
        assert by_number.identify(peer, connection) == UNKNOWN_PROCESS


def test_who_lists_the_keys_is_looked_up_before_it_asks_for_one(tmp_path: Path) -> None:
    with steward() as client, connected_by_another(tmp_path) as (connection, peer, program):
        asker = Asker()
        who = LooksUp(client, asker, late=True)
        who.accepted(peer)
        assert asker.peer is peer  # whose prompts go to whose screen needs no look-up
        who.foresee(peer, connection)
        who.foresee(peer, connection)
        assert who.identify(peer, connection).pid == program.pid
        # What was looked up for one client is not told of the next.
        who.accepted(peer)
        who.foresee(peer, connection)
        with connected() as (ours, _):
            assert who.identify(ME, ours).pid == os.getpid()


def process_with_pid(pid: int) -> "subprocess.Popen[bytes]":
    for _ in range(1000):
        NS_LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "60"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    pytest.fail("the number was never given out again")


def test_the_file_of_a_rule_is_resolved() -> None:
    with steward() as client:
        found = client.resolve("/proc/self/exe/../exe")
        assert found is None
        shell = client.resolve("/bin/sh")
    assert shell is not None
    assert (shell.device, shell.inode) == (os.stat("/bin/sh").st_dev, os.stat("/bin/sh").st_ino)


# --- waiting -------------------------------------------------------------------------


def test_a_prompt_that_waits_for_a_human_holds_up_no_look_up() -> None:
    with steward({messages.Ask: waits}) as client, connected() as (connection, _):
        notices = [client.show(CONFIRM) for _ in range(3)]
        asking = [threading.Thread(target=refused, args=(client,), daemon=True) for _ in range(5)]
        for thread in asking:
            thread.start()
        begun = time.monotonic()
        for _ in range(20):
            assert client.identify(ME, connection).pid == os.getpid()
        assert time.monotonic() - begun < 1.0
        for notice in notices:
            notice.withdraw()
    for thread in asking:
        thread.join(5)
        assert not thread.is_alive()


def refused(client: StewardClient) -> None:
    with pytest.raises(DaemonFailed):
        client.ask(CONFIRM)


def test_a_secret_travels_beside_its_message_both_ways() -> None:
    def reverse(
        request: messages.SignWithKey, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        assert secret is not None
        return messages.Signed(bytes(secret.view[::-1])), None

    def give(
        request: messages.Ask, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, Secret]:
        return messages.Answered(True, "test", ""), Secret.of(b"1234" * 500)

    with steward({messages.SignWithKey: reverse, messages.Ask: give}) as client:
        with Secret.of(b"abc") as pin:
            assert client.sign_with_key(b"", "", b"", pin, 5) == b"cba"
        answer = client.ask(CONFIRM)
        assert answer.secret is not None
        with answer.secret as secret:
            assert bytes(secret.view) == b"1234" * 500


def test_a_message_of_the_largest_size_arrives_whole() -> None:
    def echo(
        request: messages.SignWithKey, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        return messages.Signed(request.data), None

    data = os.urandom(900 * 1024)
    with steward({messages.SignWithKey: echo}) as client:
        assert client.sign_with_key(b"", "", data, None, 30) == data


# --- failing -------------------------------------------------------------------------


def test_what_fails_there_is_raised_here() -> None:
    def fails(
        request: messages.Ask, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        raise NoPrompter("Nobody is there.", remedy="Come back.")

    with (
        steward({messages.Ask: fails}) as client,
        pytest.raises(NoPrompter, match=r"Nobody is there\. Come back\."),
    ):
        client.ask(CONFIRM)


def test_an_error_that_wants_to_know_more_keeps_its_sentence() -> None:
    def fails(
        request: messages.Ask, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        raise PinIncorrect("the card", 2)

    with (
        steward({messages.Ask: fails}) as client,
        pytest.raises(Exception, match="The PIN for the card is wrong; 2 attempts are left"),
    ):
        client.ask(CONFIRM)


def test_a_handler_that_breaks_costs_its_request_and_nothing_else() -> None:
    def breaks(
        request: messages.Ask, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        raise ZeroDivisionError

    with steward({messages.Ask: breaks}) as client, connected() as (connection, _):
        with pytest.raises(DaemonFailed, match="failed at this"):
            client.ask(CONFIRM)
        assert client.alive
        assert client.identify(ME, connection).pid == os.getpid()


def test_without_a_steward_callers_are_unknown_and_questions_fail_with_a_sentence() -> None:
    with steward() as client, connected() as (connection, _):
        os.kill(client.pid, signal.SIGKILL)
        os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)
        assert client.identify(ME, connection) == UNKNOWN_PROCESS
        assert not client.alive
        with pytest.raises(DaemonFailed, match="has ended"):
            client.ask(CONFIRM)
        with pytest.raises(DaemonFailed):
            client.resolve("/bin/sh")
        client.show(CONFIRM).withdraw()


def test_signals_of_a_terminal_do_not_end_it() -> None:
    with steward() as client, connected() as (connection, _):
        client.identify(ME, connection)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(client.pid, number)
        assert client.identify(ME, connection).pid == os.getpid()
        assert os.getsid(client.pid) == client.pid


def test_bytes_that_make_no_sense_cost_one_channel() -> None:
    with steward() as client, connected() as (connection, _):
        client.identify(ME, connection)
        for rubbish in (b"\xff" * 64, b"\0\0\0\1\0\0\0\0\xff", b"\0\0\0\1"):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                client._master.sendmsg(
                    [b"\0"],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs.fileno().to_bytes(4, "little"))],
                )
                theirs.close()
                ours.sendall(rubbish)
                ours.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):  # unread bytes were left
                    assert ours.recv(64) == b""
        assert client.identify(ME, connection).pid == os.getpid()


# --- its end -------------------------------------------------------------------------

KEEPER = """
import os, sys, time
from keyholm.daemon.steward.server import start
os.set_inheritable(1, False)
client = start(dict, at_end=lambda: os.unlink(sys.argv[1]))
print(client.pid, flush=True)
time.sleep(60)
"""


def test_the_steward_of_a_killed_keeper_tidies_up_and_ends(tmp_path: Path) -> None:
    left = tmp_path / "socket"
    left.touch()
    command = [sys.executable, "-c", KEEPER, str(left)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout
        pid = int(keeper.stdout.readline())
        keeper.kill()
        keeper.wait()
        # Its standard output is the steward's as well: read ends when both have ended.
        assert keeper.stdout.read() == b""
    assert not left.exists()
    assert identify(pid).executable is None  # gone, or waiting for init to look


def test_a_program_that_the_steward_started_is_told_from_a_caller() -> None:
    def starts(
        request: messages.Ask, secret: Secret | None, channel: socket.socket
    ) -> tuple[messages.Message, None]:
        # Its child is an orphan at once, and comes back to the steward.
        with subprocess.Popen(
            ["sh", "-c", "sh -c 'echo $$; exec sleep 60' & exit"], stdout=subprocess.PIPE
        ) as program:
            assert program.stdout
            pid = int(program.stdout.readline())
        channel.recv(1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return messages.Answered(True, str(pid), ""), None

    with steward({messages.Ask: starts}) as client, connected() as (connection, _):
        asking = threading.Thread(target=refused, args=(client,), daemon=True)
        assert not client.started(ME)
        asking.start()
        pid = orphan_of(client.pid)
        assert client.started(Peer(0, 0, pid))
        assert client.identify(Peer(0, 0, pid)) == UNKNOWN_PROCESS
        assert not client.started(ME)
        assert client.identify(ME, connection).pid == os.getpid()
    asking.join(5)


def orphan_of(parent: int) -> int:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "stat").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                name, _, rest = line.rpartition(")")
                if name.endswith("(sleep") and rest.split()[1] == str(parent):
                    return int(entry.name)
        time.sleep(0.01)
    pytest.fail("the orphan did not come back to the steward")
