"""Where a private key may be found in this process's memory, and where it must not be.

Best effort: CPython and OpenSSL make copies that nobody can wipe, and what is freed is not
overwritten. So the canary is a key that was only ever in locked memory, handled as the
stores handle it, and what is looked for is its seed in all memory that can be read.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PROGRAM: Final = Path(__file__).with_name("secret_holder.py")
STEPS: Final = ("added", "signed", "idle", "locked", "closed")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """How often the seed is in memory after each step, by store."""
    folder = tmp_path_factory.mktemp("secrets")
    done = subprocess.run(
        [sys.executable, PROGRAM, folder / "store"], stdout=subprocess.PIPE, check=True
    )
    told: dict[str, dict[str, int]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("store", ["memory", "disk"])
@pytest.mark.parametrize("step", STEPS)
def test_the_seed_is_in_memory_only_while_the_key_is_hot(
    found: dict[str, dict[str, int]], store: str, step: str
) -> None:
    if step not in found[store]:
        return
    if step == "signed":
        # OpenSSL has it: in its own heap, where a hot key must be.
        assert found[store][step] <= 2
    else:
        assert found[store][step] == 0


def test_what_looks_finds_a_seed_that_is_there(found: dict[str, dict[str, int]]) -> None:
    assert found["plain"]["held"] >= 1
