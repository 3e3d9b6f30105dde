"""keyholm-agent against the system's ssh-agent, turn by turn on one machine, same command line.

    python3 dev.py bench agent [--rounds 7] [--only sign] [--json FILE] [--quick]

keyholm runs as it always does: peer check, policy and trail are on. Reading the table: p50 of
the requests unless the unit says otherwise; `times better` is the median, over the rounds, of
the ratio within a round. CPU is the agent's own, user and system, per request.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.harness import load, start
from bench.harness.agents import Agent, Program, running
from bench.harness.keys import KINDS, LIST, TestKey, make
from bench.harness.rounds import Case, Figure, Series, head, table, take_turns

COMMANDS = Path(__file__).resolve().parent.parent / ".venv" / "bin"
# How many times better than the system's ssh-agent a key type has to sign.
WANTED = {"ed25519": 5.0, "ecdsa-p256": 2.5, "rsa-2048": 1.8}
# So many of each are loaded at the beginning and first used at the end, when they are cold.
COLD = {"ed25519": 20, "ecdsa-p256": 20, "rsa-2048": 5}
IDLE_SECONDS = 65.0  # keyholm seals a key that was idle for 60


def per_request(agent: Agent, run: Callable[[], load.Latencies]) -> Figure:
    before = agent.cpu_seconds()
    latencies = run()
    cpu = (agent.cpu_seconds() - before) / latencies.asked * 1e6
    return Figure(
        latencies.percentile(0.5), latencies.percentile(0.9), latencies.percentile(0.99), cpu
    )


def signing(kind: str, key: TestKey, seconds: float) -> Case[Agent]:
    def measure(agent: Agent) -> Figure:
        sign = lambda: load.repeat(agent.socket, key.sign, load.SIGNATURE, seconds)  # noqa: E731
        return per_request(agent, sign)

    return Case(f"sign {kind}", "us", measure, wanted=WANTED[kind])


def login(kind: str, key: TestKey, times: int) -> Case[Agent]:
    def measure(agent: Agent) -> Figure:
        return per_request(agent, lambda: load.log_in(agent.socket, LIST, key.sign, times))

    return Case(f"connect, list, sign {kind}, close", "us", measure, wanted=1.0)


def crowded(kind: str, key: TestKey, connections: int, seconds: float) -> Case[Agent]:
    processes = min(2, os.cpu_count() or 1)

    def measure(agent: Agent) -> Figure:
        before = agent.cpu_seconds()
        got = load.crowd(agent.socket, key.sign, connections, seconds, processes)
        cpu = (agent.cpu_seconds() - before) / got.latencies.asked * 1e6
        latencies = got.latencies
        return Figure(got.per_second, latencies.percentile(0.9), latencies.percentile(0.99), cpu)

    name = f"{connections} connections sign {kind}"
    return Case(name, "per s", measure, more_is_better=True, wanted=1.0)


def listing(count: int, wanted: float, seconds: float) -> Case[Agent]:
    def measure(agent: Agent) -> Figure:
        ask = lambda: load.repeat(agent.socket, LIST, load.IDENTITIES, seconds)  # noqa: E731
        return per_request(agent, ask)

    return Case(f"list {count:,} keys", "us", measure, wanted=wanted)


def resident(count: int) -> Case[Agent]:
    def measure(agent: Agent) -> Figure:
        return Figure(agent.resident_kib() / 1024)

    return Case(f"memory with {count:,} keys (RSS)", "MiB", measure, wanted=2.0)


def proportional(count: int) -> Case[Agent]:
    def measure(agent: Agent) -> Figure:
        return Figure((agent.proportional_kib() or 0) / 1024)

    return Case(f"memory with {count:,} keys (PSS)", "MiB", measure, wanted=2.0)


def starting() -> list[Case[Agent]]:
    return [
        Case(
            "start to first answer", "ms", lambda agent: Figure(start.first_answer(agent.program))
        ),
        Case("idle memory (RSS)", "MiB", lambda agent: Figure(start.idle_mib(agent.program)[0])),
        Case("idle memory (PSS)", "MiB", lambda agent: Figure(start.idle_mib(agent.program)[1])),
    ]


def first_use(agent: Agent, keys: Sequence[TestKey]) -> tuple[float, float]:
    """Median of the first signature with each key, and of the second, in microseconds."""
    connection = load.Connected(agent.socket, capacity=1 << 12)
    took: tuple[list[float], list[float]] = ([], [])
    for key in keys:
        for which in took:
            before = time.perf_counter_ns()
            connection.ask(key.sign, load.SIGNATURE)
            which.append((time.perf_counter_ns() - before) / 1000)
    connection.close()
    return statistics.median(took[0]), statistics.median(took[1])


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.peer = Program("ssh-agent", options.peer)
        self.ours = Program("keyholm", options.agent)
        self.series: list[Series[Agent]] = []

    def run(self) -> None:
        told(describe_machine(self.peer))
        keys = {kind: make(kind, kind) for kind in KINDS}
        cold = {kind: [make(kind, f"cold {n}") for n in range(COLD[kind])] for kind in KINDS}
        with ExitStack() as stack:
            busy = [stack.enter_context(running(program)) for program in (self.peer, self.ours)]
            idle = [stack.enter_context(running(program)) for program in (self.peer, self.ours)]
            for agent in busy:
                agent.add(keys.values())
            for agent in idle:
                agent.add(key for kind in cold.values() for key in kind)
            loaded = time.monotonic()
            self._turns(one_connection(keys, self.options), *busy)
            self._turns(many_connections(keys, self.options), *busy)
            self._turns(starting(), *busy)
            self._check_trail(busy[1])
            self._many_keys(1_000, wanted=50)
            self._many_keys(10_000, wanted=100)
            if not self.options.quick and not self.options.only:
                self._cold(cold, idle, loaded)
        print(f"\n{start.alone(self.ours, COMMANDS)}" if not self.options.only else "")

    def _turns(self, cases: Sequence[Case[Agent]], peer: Agent, ours: Agent) -> None:
        chosen = [case for case in cases if self.options.only in case.name]
        if not chosen:
            return
        series = take_turns(chosen, peer, ours, self.options.rounds, progress)
        progress("")
        self.series += series
        print(table(head(self.peer.name, self.ours.name), [one.row() for one in series]), "\n")

    def _many_keys(self, count: int, wanted: float) -> None:
        seconds = 0.1 if self.options.quick else 0.4
        cases = [listing(count, wanted, seconds)]
        if count == 10_000:
            cases += [resident(count), proportional(count)]
        if not any(self.options.only in case.name for case in cases):
            return
        progress(f"making {count:,} keys")
        keys = [make("ed25519", f"key-{number:06}") for number in range(count)]
        with running(self.peer) as peer, running(self.ours) as ours:
            for agent in (peer, ours):
                progress(f"loading {count:,} keys into {agent.program.name}")
                agent.add(keys)
            if ours.proportional_kib() is None:
                cases = cases[:2]
            self._turns(cases, peer, ours)

    def _check_trail(self, ours: Agent) -> None:
        if self.ours.path != self.peer.path and not ours.trail_bytes():
            told("These figures are worth nothing: there was no trail.")

    def _cold(self, cold: dict[str, list[TestKey]], idle: list[Agent], loaded: float) -> None:
        while (left := loaded + IDLE_SECONDS - time.monotonic()) > 0:
            progress(f"waiting {left:.0f} s until keys are cold")
            time.sleep(min(1.0, left))
        progress("")
        rows = [
            [f"first use of a cold key, {kind}", "us", agent.program.name]
            + [f"{value:.0f}" for value in first_use(agent, cold[kind])]
            for kind in KINDS
            for agent in idle
        ]
        print(table(["case", "unit", "agent", "cold", "then hot"], rows))

    def write(self, file: Path) -> None:
        file.write_text(
            json.dumps(
                [
                    {
                        "case": one.case.name,
                        "unit": one.case.unit,
                        "wanted": one.case.wanted,
                        "rounds": [[asdict(peer), asdict(ours)] for peer, ours in one.rounds],
                        "ratios": one.ratios(),
                    }
                    for one in self.series
                ],
                indent=1,
            )
        )


def one_connection(keys: dict[str, TestKey], options: argparse.Namespace) -> list[Case[Agent]]:
    seconds, times = (0.1, 20) if options.quick else (0.5, 200)
    cases = [signing(kind, key, seconds) for kind, key in keys.items()]
    return cases + [login(kind, key, times) for kind, key in keys.items()]


def many_connections(keys: dict[str, TestKey], options: argparse.Namespace) -> list[Case[Agent]]:
    seconds = 0.2 if options.quick else 0.8
    return [crowded(kind, key, count, seconds) for count in (16, 256) for kind, key in keys.items()]


def describe_machine(peer: Program) -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    version = start.openssh_version()
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {version} as {peer.path}"
    )


def told(what: str) -> None:
    print(what, flush=True)


def progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py bench agent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="short: to see that it works")
    parser.add_argument("--json", type=Path, help="every figure of every round, into this file")
    parser.add_argument("--peer", default=shutil.which("ssh-agent") or "ssh-agent")
    parser.add_argument("--agent", default=str(COMMANDS / "keyholm-agent"))
    bench = Bench(parser.parse_args())
    bench.run()
    if bench.options.json:
        bench.write(bench.options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
