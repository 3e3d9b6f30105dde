"""Build the native module in a clone, with what compiles C here; without it the rest works."""

import subprocess
from pathlib import Path

from tools.project import ROOT


def build_in_place(python: Path) -> bool:
    """Where the package looks for it. False, after saying so, where it could not be built."""
    done = subprocess.run(
        [python, "-m", "native.build"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        print("  " + "\n  ".join(done.stdout.strip().splitlines()[-8:]), flush=True)
    return done.returncode == 0
