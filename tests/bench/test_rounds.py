"""The benchmark compares within a round, and its instruments work on the system's ssh-agent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.harness.rounds import Case, Figure, Series, table
from tests.programs import program

ROOT = Path(__file__).resolve().parent.parent.parent


def series(rounds: list[tuple[float, float]], *, more_is_better: bool = False) -> Series[None]:
    case: Case[None] = Case("case", "us", lambda _: Figure(0.0), more_is_better, wanted=2.0)
    return Series(case, [(Figure(peer), Figure(ours)) for peer, ours in rounds])


def test_the_ratio_is_taken_within_each_round() -> None:
    """One slow round slows both: the medians say 3, the ratios say 2."""
    one = series([(100, 50), (1000, 500), (300, 100)])
    assert one.ratios() == [2.0, 2.0, 3.0]
    assert "2.00" in one.row()
    assert one.verdict() == "yes, 2"


def test_more_requests_a_second_are_better() -> None:
    one = series([(100, 150)], more_is_better=True)
    assert one.ratios() == [1.5]
    assert one.verdict() == "NO, 2"


def test_a_table_lines_up() -> None:
    lines = table(["case", "unit", "x"], [["one", "us", "1.0"], ["longer", "ms", "10.0"]])
    assert [len(line) for line in lines.splitlines()] == [18, 18, 18]


@pytest.mark.interop
def test_the_instruments_measure_the_systems_agent(tmp_path: Path) -> None:
    agent = program("ssh-agent")
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench.agent", "--quick", "--rounds", "1", "--agent", agent]
    for only in ("sign ed25519", "16 connections sign ed25519", "start to first"):
        done = subprocess.run(
            [*command, "--only", only, "--json", figures],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        assert only in done.stdout
        assert only in figures.read_text()
