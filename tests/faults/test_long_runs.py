"""A million signatures, a thousand clients of which some are slow, ten thousand that are killed."""

import functools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TypeVar

import pytest
from tests.faults.clients import (
    AT_REST,
    IDENTITIES,
    SIGNATURE,
    SUCCESS,
    Held,
    ask,
    children,
    connect,
    crowd,
    framed,
    held,
    keeper,
    sign_requests,
    wait_for,
    with_key,
)
from tests.interop.conftest import Home

from keyholm.wire.ssh import agent as wire

pytestmark = pytest.mark.soak

MIB: Final = 1 << 20
SIGNATURES: Final = 1_000_000
SIGNERS: Final = 8
VERIFIER_MIB: Final = 256  # it reads a segment at a time, however long the trail is
CLIENTS: Final = 1_000
SLOW: Final = 100
ROUNDS: Final = 9
ROUND: Final = 5_000  # requests: a second or two, and after ten the slow ones are cut off
KILLED: Final = 10_000
HERE: Final = Path(__file__).parent

T = TypeVar("T")
Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Figures are shown although the test passes."""

    def say(what: str) -> None:
        with capsys.disabled():
            print(f"\n    {what}", flush=True)

    return say


@contextmanager
def connections(home: Home, count: int) -> Iterator[list[socket.socket]]:
    made = [connect(home) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.close()


# --- a million ---------------------------------------------------------------------------


def test_a_million_signatures_leave_a_million_records(agent: Home, tell: Tell) -> None:
    with_key(agent, "ed25519")
    requests = sign_requests(with_key(agent, "ecdsa"))
    begun = time.monotonic()
    with connections(agent, SIGNERS) as signers:
        answers = crowd(signers, requests, busy=SIGNERS, total=SIGNATURES)
    took = time.monotonic() - begun
    assert len(answers) == SIGNATURES
    tell(f"{SIGNATURES:,} signatures in {took:.0f} s, the trail takes {trail_mib(agent):.0f} MiB")

    found, took, peak = measured(agent, ("log", "verify", "--json"), all_of)
    tell(f"keyholm log verify: {took:.0f} s, at most {peak:.0f} MiB of memory")
    assert json.loads(found)["intact"] is True
    assert peak < VERIFIER_MIB

    signed, took, peak = measured(agent, ("log", "export", "--format", "jsonl"), count_signed)
    tell(f"keyholm log export: {took:.0f} s, at most {peak:.0f} MiB of memory")
    assert signed == SIGNATURES


def all_of(output: IO[bytes]) -> bytes:
    return output.read()


def count_signed(lines: IO[bytes]) -> int:
    return sum(b'"op":"sign"' in line for line in lines)


def trail_mib(home: Home) -> float:
    files = [path for path in (home.folder / "kh").rglob("*") if "trail" in path.parts]
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file()) / MIB


def measured(
    home: Home, words: Sequence[str], read: Callable[[IO[bytes]], T]
) -> tuple[T, float, float]:
    """What `read` makes of its output, its seconds and the most memory that it took, in MiB."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "keyholm.cli.main", *words]
    with subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        result = read(process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return result, time.monotonic() - begun, usage.ru_maxrss / 1024


# --- a thousand, of which some are slow --------------------------------------------------


@pytest.mark.parametrize("busy", [1, 16])
def test_a_hundred_slow_clients_do_not_slow_nine_hundred(
    agent: Home, tell: Tell, busy: int
) -> None:
    """Turn by turn with and without, so that what else the machine does slows both."""
    requests = sign_requests(with_key(agent))
    alone, beside = [], []
    with connections(agent, CLIENTS - SLOW) as others:
        crowd(others, requests, busy=busy, total=ROUND)  # every thread is there by now
        for _ in range(ROUNDS):
            with connections(agent, SLOW):
                alone.append(crowd(others, requests, busy=busy, total=ROUND))
            with slow_clients(agent, requests[0]):
                beside.append(crowd(others, requests, busy=busy, total=ROUND))
    for part in (0.5, 0.99):
        normal, then = percentile(alone, part), percentile(beside, part)
        tell(
            f"p{part * 100:.0f} with {busy} of {CLIENTS - SLOW} asking: {normal * 1e6:.0f} us, "
            f"{then * 1e6:.0f} us beside {SLOW} slow ones ({then / normal:.2f} times)"
        )
    assert percentile(beside, 0.99) < 2 * percentile(alone, 0.99)


def percentile(rounds: list[list[float]], part: float) -> float:
    """The median of what it is in each round."""
    return statistics.median(each[round(part * (len(each) - 1))] for each in rounds)


@contextmanager
def slow_clients(home: Home, request: bytes) -> Iterator[None]:
    """All of them are served, slowly, until the end of the block."""
    socket_path = home.environment["SSH_AUTH_SOCK"]
    command = [sys.executable, HERE / "slow_clients.py", socket_path, framed(request).hex(), SLOW]
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        served, _ = process.communicate()
    assert int(served) == SLOW, "the agent had given up some of them, which nobody would notice"


# --- ten thousand that are killed --------------------------------------------------------


def test_ten_thousand_clients_killed_in_a_request_leave_nothing(agent: Home, tell: Tell) -> None:
    requests = [*sign_requests(with_key(agent)), wire.encode(wire.RequestIdentities())]
    processes = [keeper(agent), *children(keeper(agent))]
    kill_clients(agent, requests, count=KILLED // 50, seed=0)  # what it keeps for good, it has
    before = [held(pid) for pid in processes]
    begun = time.monotonic()
    kill_clients(agent, requests, count=KILLED, seed=1)
    tell(f"{KILLED:,} clients killed in {time.monotonic() - begun:.0f} s")
    for pid, then in zip(processes, before, strict=True):
        rests = functools.partial(is_at_rest, pid, then)
        wait_for(rests, seconds=30)
        tell(f"before: {then}\n    after:  {held(pid)}")
    everything_works(agent, requests)


def kill_clients(home: Home, requests: Sequence[bytes], *, count: int, seed: int) -> None:
    program = str(HERE / "killed_clients.py")
    frames = [framed(request).hex() for request in requests]
    words = [program, home.environment["SSH_AUTH_SOCK"], str(count), str(seed), *frames]
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) == count, "the agent ended a client before it could be killed"


def is_at_rest(pid: int, before: Held) -> bool:
    return held(pid).is_within(before, AT_REST)


def everything_works(home: Home, requests: Sequence[bytes]) -> None:
    """Each lock of the agent is free, since each of these takes some of them."""
    with connect(home) as client:
        assert [ask(client, request)[0] for request in requests] == [SIGNATURE, IDENTITIES]
        for message in (wire.Lock(memoryview(b"p")), wire.Unlock(memoryview(b"p"))):
            assert ask(client, wire.encode(message))[0] == SUCCESS
    with_key(home, "ecdsa")
    home.run("ssh-add", "-D")
    assert json.loads(home.keyholm("log", "verify", "--json"))["intact"] is True
