"""A few seconds of fuzzing in every run of the tests; `dev.py soak` goes on for longer."""

import random
from pathlib import Path

import pytest
from tests.fuzz import mutate, run
from tests.fuzz.targets import TARGETS, Target

from keyholm.wire.codec import Malformed

SECONDS = 0.4


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_what_it_is_a_seed_of(name: str) -> None:
    target = TARGETS[name]
    ends = [mutate.outcome(target, seed) for seed in target.seeds]
    # Signed or encrypted otherwise than the target has it: all of the way but its end is reached.
    assert all(end.startswith(("taken", "BadSignature", "PassphraseWrong")) for end in ends)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_input_is_taken_or_refused(name: str) -> None:
    least = 2 * len(TARGETS[name].seeds) + 20  # beyond the seeds, on a slow machine as well
    tried, finding = mutate.run(TARGETS[name], seconds=SECONDS, seed=20_240_101, least=least)
    assert finding is None, f"{finding.what}: {finding.data.hex()}"
    assert tried >= least


def _careless(data: bytes) -> None:
    if len(data) < 4:
        raise Malformed("too short")
    if data[2] == 0xFF:
        raise IndexError("nobody thought of this")


def test_a_careless_decoder_is_found_out() -> None:
    tried, finding = mutate.run(Target(_careless, (bytes(4),)), seconds=20, seed=1)
    assert finding is not None
    assert finding.what == "IndexError: nobody thought of this"
    assert finding.data[2] == 0xFF
    assert tried > 1


def test_the_same_seed_tries_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        stream = mutate._inputs(TARGETS["public-key"], [b"abcd"], random.Random(seed))
        return [next(stream) for _ in range(50)]

    assert inputs(1) == inputs(1) != inputs(2)


def test_what_was_found_is_kept_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TARGETS, "careless", Target(_careless, (bytes(4),)))
    assert run.main(["--engine", "mutate", "--seconds", "20", "--seed", "1", "careless"]) == 1
    (kept,) = (tmp_path / ".dev" / "fuzz").iterdir()
    assert f"--repeat .dev/fuzz/{kept.name} careless" in capsys.readouterr().out
    assert run.main(["--repeat", str(kept), "careless"]) == 1
    assert "nobody thought of this" in capsys.readouterr().err


def test_a_target_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["certifcate"]) == 2
    assert "no such target: certifcate; there are: agent-message" in capsys.readouterr().out
