#!/usr/bin/env python3
"""One command for everything a developer does; needs a Python and nothing else.

    python3 dev.py setup              make .venv, with the commands keyholm and keyholm-agent
    python3 dev.py demo               see it work, on a throw-away home
    python3 dev.py test [--strict]    what CI runs; --strict: a skipped test is a failure
    python3 dev.py bench [agent ...]  measure, interleaved with the system's own programs
    python3 dev.py soak               the long tests and the fuzzers: an hour or two
    python3 dev.py wheels             build the wheels of all systems, into dist/
    python3 dev.py packages           install the system's programs that all tests want
    python3 dev.py peers              print a Python with other people's agent clients

Options that are not known here go to what the verb starts: dev.py test -k trail.
"""

# An old Python must be able to read this file, because all it does is to look for a newer one
# and hand over to tools/.
from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
NEWEST_TRIED = 20
VERBS = ("setup", "demo", "test", "bench", "soak", "wheels", "packages", "peers")


def candidates() -> list[str]:
    """Where a Python may be: the plain name first, then the newest."""
    names = ["python3", *(f"python3.{minor}" for minor in range(NEWEST_TRIED, OLDEST[1] - 1, -1))]
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    named = os.environ.get("KEYHOLM_PYTHON", "")
    return [named, *(os.path.join(folder, name) for name in names for folder in folders)]


def is_new_enough(python: str) -> bool:
    """A pyenv shim is found like a program and then fails: so each candidate is run."""
    if not os.access(python, os.X_OK):
        return False
    program = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def become_new_enough() -> None:
    if sys.version_info >= OLDEST:
        return
    for python in filter(is_new_enough, candidates()):
        os.execv(python, [python, __file__, *sys.argv[1:]])
    sys.exit(
        f"keyholm needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is "
        f"{sys.version.split()[0]} and none newer is on PATH.\n"
        "Install one, or name it: KEYHOLM_PYTHON=/path/to/python3 python3 dev.py ..."
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        subparser = verbs.add_parser(verb)
        if verb == "test":
            subparser.add_argument("--strict", action="store_true", help="a skip is a failure")
    options, rest = parser.parse_known_args(arguments)
    options.rest = rest
    return options


def main() -> int:
    become_new_enough()
    options = parse(sys.argv[1:])
    os.chdir(ROOT)
    from tools import verbs  # only a new Python can read it

    return verbs.run(options)


if __name__ == "__main__":
    sys.exit(main())
