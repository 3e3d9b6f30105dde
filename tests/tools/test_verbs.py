"""What dev.py starts can be started: nobody sees it fail until the night it runs."""

import subprocess
import sys
from pathlib import Path

from tools import verbs

ROOT = Path(__file__).resolve().parent.parent.parent
# A long case, and a property that `test` tries with fewer examples.
WANTED = (
    "::test_every_bit_of_the_journal_is_found",
    "::test_a_value_reads_as_written_and_not_when_cut",
)


def test_the_soak_finds_the_long_cases_and_the_properties() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *verbs.LONG]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    found = done.stdout.splitlines()
    assert all(any(line.endswith(name) for line in found) for name in WANTED)
