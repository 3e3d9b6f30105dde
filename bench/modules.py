"""SoftHSM2 in a worker of keyholm's, against the ways in which others keep it out of a program.

    python3 dev.py bench modules [--rounds 7] [--only sign] [--json FILE] [--quick]

keyholm runs as it always does: sandbox, policy and trail are on. The same keys, turn by turn: by
PKCS#11 against p11-kit's client and server, through the agent against OpenSSH's agent with its
helper. Then another store's key beside one that takes half a second; and programs that start,
four at a time. p50 of the calls unless the unit says otherwise; `times better` is the median, over
the rounds, of the ratio within a round.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

from bench.harness import load as agent_load
from bench.harness import module_agents, modules
from bench.harness.module_agents import KINDS, Beside, Door
from bench.harness.modules import P256, RSA_2048, LoadFailed, Module
from bench.harness.rounds import Case, Figure, head, table, take_turns
from bench.pkcs11 import (
    Peer,
    figures,
    fill_few,
    progress,
    signing,
    signing_rsa,
    threads,
    told,
)

Entered = TypeVar("Entered")

TOKEN = "vendor"  # not as the one that keyholm has on disk
AT_ONCE = 4
SLOW_MILLISECONDS = 500
WITHIN = 1 / 1.2  # a p99 that is at most a fifth longer


def against_p11_kit(milliseconds: int) -> list[Case[Module]]:
    return [
        signing("tight loop", 1.3, milliseconds),
        signing_rsa(1.3, milliseconds),
        signing("pauses of 0.2 ms", None, milliseconds, pause=200),
        signing("pauses of 5 ms", None, 2 * milliseconds, pause=5000),
        threads(P256, None, milliseconds),
        threads(RSA_2048, None, milliseconds),
    ]


def through_agents(seconds: float) -> list[Case[Door]]:
    return [through_agent(kind, seconds) for kind in KINDS]


def through_agent(kind: str, seconds: float) -> Case[Door]:
    def measure(door: Door) -> Figure:
        took = agent_load.repeat(door.socket, door.requests[kind], agent_load.SIGNATURE, seconds)
        return Figure(took.percentile(0.5), took.percentile(0.9), took.percentile(0.99))

    return Case(f"agent signs {kind}", "us", measure, wanted=3.0)


def beside(seconds: float) -> Case[Beside]:
    def measure(door: Beside) -> Figure:
        with door.at_work():
            took = agent_load.repeat(door.socket, door.request, agent_load.SIGNATURE, seconds)
        return Figure(took.percentile(0.99))

    return Case("p99 of a key on disk", "us", measure, wanted=WITHIN)


class Bench:
    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options, self._stack = options, stack
        load = modules.build_load(self._folder())
        self._soft = modules.softhsm(self._folder(), load, TOKEN)
        fill_few(self._soft)
        self.milliseconds = 150 if options.quick else 600
        self.rows: list[dict[str, object]] = []

    def run(self) -> None:
        told(machine())
        self._by_pkcs11()
        self._through_agents()
        self._beside_a_slow_key()

    def _by_pkcs11(self) -> None:
        chosen = self._chosen(against_p11_kit(self.milliseconds))
        if not chosen and not self._is_wanted("starts"):
            return
        ours = self._enter(modules.keyholm_with(self._folder(), self._soft))
        if chosen:
            peer = self._enter(modules.p11_kit(self._folder(), self._soft))
            self._turns(chosen, peer, ours)
        if self._is_wanted("starts"):
            self._starts([self._soft, ours])

    def _through_agents(self) -> None:
        chosen = self._chosen(through_agents(self.milliseconds / 1000))
        if not chosen or not self._has("ssh-agent", "ssh-add"):
            return
        peer = self._enter(module_agents.openssh(self._folder(), self._soft))
        ours = self._enter(module_agents.keyholm(self._folder(), self._soft))
        self._turns(chosen, peer, ours)

    def _beside_a_slow_key(self) -> None:
        chosen = self._chosen([beside(2 * self.milliseconds / 1000)])
        if chosen:
            slow = module_agents.with_a_slow_key(self._folder(), self._soft, SLOW_MILLISECONDS)
            self._turns(chosen, *self._enter(slow))

    def _starts(self, started: Sequence[Module]) -> None:
        count = 40 if self.options.quick else 1000
        rows = []
        for module in started:
            progress(f"starting {module.name} {count} times")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                good = sum(pool.map(lambda _, module=module: starts(module), range(count)))
            rows.append([module.name, f"{count}", f"{count - good}"])
            self.rows.append({"case": "starts", "module": module.name, "failed": count - good})
        progress("")
        print(table(["programs, 4 at a time, that sign once", "count", "failed"], rows), "\n")

    def _turns(self, cases: Sequence[Case[Peer]], peer: Peer, ours: Peer) -> None:
        series = take_turns(cases, peer, ours, self.options.rounds, progress)
        progress("")
        print(table(head(peer.name, ours.name), [one.row() for one in series]), "\n", flush=True)
        self.rows += [figures(one, peer, ours) for one in series]

    def _chosen(self, cases: Sequence[Case[Peer]]) -> list[Case[Peer]]:
        return [case for case in cases if self._is_wanted(case.name)]

    def _is_wanted(self, name: str) -> bool:
        return self.options.only in name

    def _has(self, *programs: str) -> bool:
        missing = [name for name in programs if shutil.which(name) is None]
        for name in missing:
            told(f"Missing, and left out: {name}.")
        return not missing

    def _enter(self, entered: AbstractContextManager[Entered]) -> Entered:
        return self._stack.enter_context(entered)

    def _folder(self) -> Path:
        return self._enter(modules.folder())


def starts(module: Module) -> bool:
    """Whether a program could load it, log in, find its key and sign."""
    try:
        module.run("sign", P256, 0, 1, 0, 1)
    except LoadFailed:
        return False
    return True


def machine() -> str:
    loaded = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load average {loaded}\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py bench modules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="short: to see that it works")
    parser.add_argument("--json", type=Path, help="every figure of every round, into this file")
    options = parser.parse_args()
    missing = modules.missing()
    for what in missing:
        told(f"Missing: {what}.")
    if missing:
        return 1
    with ExitStack() as stack:
        bench = Bench(options, stack)
        bench.run()
    if options.json:
        options.json.write_text(json.dumps(bench.rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
