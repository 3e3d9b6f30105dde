"""keyholm's PKCS#11 module against SoftHSM2 in process and behind p11-kit's server.

    python3 dev.py bench pkcs11 [--rounds 7] [--only sign] [--many 10000] [--json FILE] [--quick]

keyholm runs as it always does: policy and trail are on. Turn by turn; p50 of the calls unless the
unit says otherwise, and `times better` is the median, over the rounds, of the ratio within a round.
The spin is the module's: KEYHOLM_SPIN_US=0 turns it off.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, TypeVar

from bench.harness import modules
from bench.harness.modules import P256, RSA_2048, LoadFailed, Module
from bench.harness.rounds import Case, Figure, Series, head, table, take_turns


class Named(Protocol):
    """What is compared."""

    @property
    def name(self) -> str: ...


Peer = TypeVar("Peer", bound=Named)
FIRST_RSA = 2  # of the token with few keys: two of each kind
FEW, HUNDRED = 4, 100
AT_ONCE = 8


def figure(nanoseconds: Sequence[float]) -> Figure:
    ordered = sorted(value / 1000 for value in nanoseconds)
    half, most, nearly_all = (
        ordered[round(part * (len(ordered) - 1))] for part in (0.5, 0.9, 0.99)
    )
    return Figure(half, most, nearly_all)


def signing(
    name: str, wanted: float | None, milliseconds: int, *, pause: int = 0, spin: bool = True
) -> Case[Module]:
    def measure(module: Module) -> Figure:
        run = module if spin else module.with_setting("KEYHOLM_SPIN_US", "0")
        return figure(run.run("sign", P256, 0, milliseconds, pause, 1)[1:])

    return Case(f"sign P-256, {name}", "us", measure, wanted=wanted)


def signing_rsa(wanted: float | None, milliseconds: int) -> Case[Module]:
    def measure(module: Module) -> Figure:
        return figure(module.run("sign", RSA_2048, FIRST_RSA, milliseconds, 0, 1)[1:])

    return Case("sign RSA-2048", "us", measure, wanted=wanted)


def threads(kind: int, wanted: float | None, milliseconds: int) -> Case[Module]:
    def measure(module: Module) -> Figure:
        key = FIRST_RSA if kind == RSA_2048 else 0
        took, *each = module.run("sign", kind, key, milliseconds, 0, 4)
        shown = figure(each)
        return Figure(len(each) / took, shown.p90, shown.p99)

    name = "RSA-2048" if kind == RSA_2048 else "P-256"
    return Case(f"sign {name}, 4 threads", "per s", measure, more_is_better=True, wanted=wanted)


def finding(count: int, times: int, wanted: float) -> Case[Module]:
    def measure(module: Module) -> Figure:
        return figure(module.run("find", count, times)[1:])

    return Case(f"find by CKA_ID of {count:,}", "us", measure, wanted=wanted)


def listing(count: int, wanted: float) -> Case[Module]:
    return Case(
        f"list {count:,} with id and label",
        "ms",
        lambda module: Figure(module.run("list")[1] / 1e6),
        wanted=wanted,
    )


def loading(count: int, wanted: float | None) -> Case[Module]:
    return Case(
        f"load to first session, {count:,} keys",
        "ms",
        lambda module: Figure(module.run("load")[1] / 1e6),
        wanted=wanted,
    )


class Bench:
    def __init__(self, options: argparse.Namespace, stack: ExitStack) -> None:
        self.options, self._stack = options, stack
        self._missing = modules.missing()
        self._load = modules.build_load(self._folder())
        self.milliseconds = 150 if options.quick else 600
        self.many = min(options.many, 500) if options.quick else options.many
        self.rows: list[dict[str, object]] = []

    def run(self) -> None:
        loaded = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        told(f"{os.cpu_count()} cores, load average {loaded}\n")
        ours = self._keyholm()
        fill_few(ours)
        soft = self._softhsm()
        if soft is not None:
            fill_few(soft)
            self._turns(against_softhsm(self.milliseconds), soft, ours)
            self._against_p11_kit(soft, ours)
        self._many(HUNDRED, [finding(HUNDRED, 200, 20)])
        large = [finding(self.many, 20, 1000), listing(self.many, 3), loading(self.many, 25)]
        self._many(self.many, large)
        self._starts([module for module in (ours, soft) if module is not None])

    def _against_p11_kit(self, soft: Module, ours: Module) -> None:
        if any("p11-kit" in what for what in self._missing):
            return
        remote = self._stack.enter_context(modules.p11_kit(self._folder(), soft))
        self._turns(against_p11_kit(self.milliseconds), remote, ours)
        stock = modules.through_stock_client(ours)
        self._turns([signing("tight loop", 1.3, self.milliseconds)], remote, stock)

    def _many(self, count: int, cases: Sequence[Case[Module]]) -> None:
        if not any(self.options.only in case.name for case in cases):
            return
        soft = self._softhsm()
        if soft is None:
            return
        ours = self._keyholm()
        for module in (soft, ours):
            progress(f"making {count:,} key pairs in {module.name}")
            module.run("generate", P256, 0, count)
        self._turns(cases, soft, ours)

    def _starts(self, started: Sequence[Module]) -> None:
        if self.options.only not in "starts":
            return
        count = 40 if self.options.quick else 1000
        rows = []
        for module in started:
            progress(f"starting {module.name} {count} times")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                took = list(pool.map(lambda _, module=module: start(module), range(count)))
            good = [one for one in took if one is not None]
            failed = count - len(good)
            median = statistics.median(good) if good else float("nan")
            rows.append([module.name, f"{count}", f"{failed}", f"{median:.1f}"])
            self.rows.append({"case": "starts", "module": module.name, "failed": failed})
        progress("")
        print(table(["starts, 8 at a time", "count", "failed", "median ms"], rows), "\n")

    def _turns(self, cases: Sequence[Case[Module]], peer: Module, ours: Module) -> None:
        chosen = [case for case in cases if self.options.only in case.name]
        if not chosen:
            return
        series = take_turns(chosen, peer, ours, self.options.rounds, progress)
        progress("")
        print(table(head(peer.name, ours.name), [one.row() for one in series]), "\n", flush=True)
        self.rows += [figures(one, peer, ours) for one in series]

    def _folder(self) -> Path:
        return self._stack.enter_context(modules.folder())

    def _keyholm(self) -> Module:
        return self._stack.enter_context(modules.keyholm(self._folder(), self._load))

    def _softhsm(self) -> Module | None:
        if any("SoftHSM2" in what for what in self._missing):
            return None
        return modules.softhsm(self._folder(), self._load)


def against_softhsm(milliseconds: int) -> list[Case[Module]]:
    return [
        signing("tight loop", 1.25, milliseconds),
        signing("tight loop, spin off", None, milliseconds, spin=False),
        signing("pauses of 0.2 ms", None, milliseconds, pause=200),
        signing("pauses of 5 ms", None, 2 * milliseconds, pause=5000),
        signing_rsa(1.33, milliseconds),
        threads(P256, None, milliseconds),
        threads(RSA_2048, 1.5, milliseconds),
        loading(FEW, None),
    ]


def against_p11_kit(milliseconds: int) -> list[Case[Module]]:
    return [
        signing("tight loop", 3, milliseconds),
        signing("tight loop, spin off", 1.4, milliseconds, spin=False),
        signing("pauses of 0.2 ms", 1.4, milliseconds, pause=200),
        signing("pauses of 5 ms", 1.4, 2 * milliseconds, pause=5000),
        threads(P256, 2, milliseconds),
    ]


def fill_few(module: Module) -> None:
    module.run("generate", P256, 0, FIRST_RSA)
    module.run("generate", RSA_2048, FIRST_RSA, FEW - FIRST_RSA)


def start(module: Module) -> float | None:
    """Milliseconds, or None where it failed."""
    try:
        return module.run("load")[1] / 1e6
    except LoadFailed:
        return None


def figures(series: Series[Peer], peer: Peer, ours: Peer) -> dict[str, object]:
    return {
        "case": series.case.name,
        "unit": series.case.unit,
        "peer": peer.name,
        "ours": ours.name,
        "wanted": series.case.wanted,
        "rounds": [[asdict(theirs), asdict(mine)] for theirs, mine in series.rounds],
        "ratios": series.ratios(),
    }


def told(what: str) -> None:
    print(what, flush=True)


def progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py bench pkcs11",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--many", type=int, default=10_000, help="key pairs of the large token")
    parser.add_argument("--quick", action="store_true", help="short: to see that it works")
    parser.add_argument("--json", type=Path, help="every figure of every round, into this file")
    options = parser.parse_args()
    for what in modules.missing():
        told(f"Missing, and left out: {what}.")
    if not modules.is_able():
        return 1
    with ExitStack() as stack:
        bench = Bench(options, stack)
        bench.run()
    if options.json:
        options.json.write_text(json.dumps(bench.rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
