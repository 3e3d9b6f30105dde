"""What each verb of dev.py does."""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile

from tools import environment, native_module, stages, system_packages
from tools.project import ROOT, VENV, SetupFailed
from tools.stages import Stage

# One worker a core, but never one alone: the tests wait for other processes most of the time.
WORKERS = str(max(2, os.cpu_count() or 2))

# What takes long, and every property with more examples than `test` has time for.
LONG = ("-m", "soak or hypothesis", "--hypothesis-profile=soak", "--timeout=0")


def run(options: argparse.Namespace) -> int:
    try:
        return VERBS[options.verb](options)
    except SetupFailed as failure:
        print(f"\ndev.py {options.verb}: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def setup(_options: argparse.Namespace) -> int:
    native_module.build_in_place(environment.ensure())
    print(f"Ready: {VENV}/bin/keyholm and {VENV}/bin/keyholm-agent")
    return 0


def demo(options: argparse.Namespace) -> int:
    python = environment.ensure()
    wanted = [package for package in system_packages.missing() if package.demo]
    if system_packages.way_to_root() is not None:
        system_packages.install(wanted)
    elif not all(system_packages.is_borrowed(package) for package in wanted):
        system_packages.borrow(wanted)
    borrowed = str(system_packages.BORROWED / "bin")
    environ = {**os.environ, "PATH": os.pathsep.join([borrowed, system_packages.SEARCHED])}
    command = [python, "-m", "keyholm.testing.demo", *options.rest]
    return subprocess.run(command, env=environ).returncode


def test(options: argparse.Namespace) -> int:
    python = environment.ensure("test")
    system_packages.install(system_packages.missing())
    if not native_module.build_in_place(python):
        # 100 MB to download, but it needs no rights.
        native_module.build_in_place(environment.ensure("test", "native"))
    tools = VENV / "bin"
    checks = [
        Stage("types", (python, "-m", "mypy")),
        Stage("lint", (tools / "ruff", "check", ".")),
        Stage("format", (tools / "ruff", "format", "--check", ".")),
        Stage("layers", (tools / "lint-imports",)),
    ]
    outcomes = stages.run_together(checks, at_once=2)
    strict = ("--no-skips",) if options.strict else ()
    # A short name: that of a socket, below it, may have 107 bytes.
    folder = tempfile.mkdtemp(prefix="kh-")
    # -rs: the reason of every skip. The tests of one file share what is slow to start.
    command = (python, "-m", "pytest", "-q", "-rs", "-n", WORKERS, "--dist", "loadscope")
    command += (f"--basetemp={folder}/t", *strict)
    outcomes.append(stages.run_openly(Stage("tests", (*command, *options.rest))))
    if outcomes[-1].passed:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{stages.table(outcomes)}\n\n{outcomes[-1].summary}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def bench(options: argparse.Namespace) -> int:
    """The benchmarks named first, `agent` if none is; the rest of the line is theirs."""
    python = environment.ensure()
    native_module.build_in_place(python)
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), options.rest))
    known = sorted(path.stem for path in (ROOT / "bench").glob("[!_]*.py"))
    if unknown := set(named) - set(known):
        what = ", ".join(sorted(unknown))
        print(f"There is no benchmark {what}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    passed_on = options.rest[len(named) :]
    return max(
        subprocess.run([python, "-m", f"bench.{name}", *passed_on]).returncode
        for name in named or ["agent"]
    )


def soak(options: argparse.Namespace) -> int:
    python = environment.ensure("test")
    system_packages.install(system_packages.missing())
    try:
        environment.ensure("test", "fuzz")
    except SetupFailed as failure:
        print(f"  without coverage-guided fuzzing, atheris cannot be had here: {failure}")
    outcomes = [
        stages.run_openly(Stage("soak", (python, "-m", "pytest", "-v", *LONG, *options.rest))),
        stages.run_openly(Stage("fuzz", (python, "-m", "tests.fuzz.run"))),
    ]
    print(f"\n{stages.table(outcomes)}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def wheels(_options: argparse.Namespace) -> int:
    """A wheel for each system that zig can build the native module for, in dist/."""
    python = environment.ensure("wheels", folder=ROOT / ".venv-wheels")
    program = "import sys; from native.build import TARGETS; print(*(t.wheel for t in TARGETS))"
    listed = subprocess.run([python, "-c", program], check=True, text=True, capture_output=True)
    build = "import hatchling.build; print(hatchling.build.build_wheel('dist'))"
    outcomes = [
        stages.run_quietly(Stage(name, ("env", f"KEYHOLM_TARGET={name}", python, "-c", build)))
        for name in listed.stdout.split()
    ]
    print(stages.table(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def packages(_options: argparse.Namespace) -> int:
    wanted = (*system_packages.PACKAGES, *system_packages.SUITES)
    return 1 if system_packages.install(system_packages.missing(wanted)) else 0


def peers(_options: argparse.Namespace) -> int:
    """Print a Python that has other people's agent clients; keyholm itself never has them."""
    print(environment.ensure("peers", folder=ROOT / ".venv-peers"))
    return 0


VERBS = {
    "setup": setup,
    "demo": demo,
    "test": test,
    "bench": bench,
    "soak": soak,
    "wheels": wheels,
    "packages": packages,
    "peers": peers,
}
