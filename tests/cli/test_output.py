"""Tables fit, colours are for terminals, and nothing that a client named acts on one."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.cli import output
from keyholm.cli.output import Style, amount, cut, fields, print_json, printable, size, width_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROW = ("laptop", "a fingerprint that is quite long", "ready")
HEADS = ("NAME", "FINGERPRINT", "STATE")


def test_a_table_is_as_wide_as_it_must_be() -> None:
    assert output.table(HEADS, [ROW]) == (
        "NAME    FINGERPRINT                       STATE\n"
        "laptop  a fingerprint that is quite long  ready\n"
    )


def test_where_there_is_less_room_the_widest_column_is_cut() -> None:
    assert output.table(HEADS, [ROW], room=30) == (
        "NAME    FINGERPRINT      STATE\nlaptop  a fingerprint …  ready\n"
    )


@given(st.lists(st.tuples(st.text(), st.text(), st.text())), st.integers(30, 200))
def test_a_table_never_leaves_its_terminal(rows: list[tuple[str, ...]], columns: int) -> None:
    lines = output.table(HEADS, rows, room=columns).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(width_of(line) <= columns for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("laptop", "laptop"),
        ("Schlüssel 鍵", "Schlüssel 鍵"),
        ("red \x1b[31m", "red �[31m"),
        ("two\nlines", "two�lines"),
        ("right\u202eto left", "right�to left"),
    ],
)
def test_text_of_others_cannot_act_on_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_wide_letters_take_two_cells_and_marks_none() -> None:
    assert (width_of("鍵"), width_of("e\u0301"), width_of("abc")) == (2, 1, 3)
    assert cut("鍵鍵鍵", 5) == "鍵鍵…"
    assert cut("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("variables", "colourful"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(variables: dict[str, str], colourful: bool) -> None:
    assert (Style(Terminal(), variables).bad("x") != "x") is colourful
    assert Style(io.StringIO(), variables).bad("x") == "x"


def test_facts_stand_below_each_other() -> None:
    assert fields((("name", "laptop"), ("fingerprint", "SHA256:x"), ("note", ""))) == (
        "name         laptop\nfingerprint  SHA256:x\nnote         \n"
    )


def test_amounts_and_sizes_are_spoken() -> None:
    assert (amount(1, "key"), amount(0, "key"), amount(2, "key is", "keys are")) == (
        "1 key",
        "0 keys",
        "2 keys are",
    )
    assert (size(100), size(2048), size(5 << 20), size(3 << 30)) == (
        "100 bytes",
        "2.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    )


def test_json_is_one_object_in_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "鍵"})
    told = capsys.readouterr().out
    assert json.loads(told) == {"name": "鍵"}
    assert "鍵" in told


SPINS = """
import time
from keyholm.cli.waiting import waiting
with waiting("Thinking"):
    time.sleep({seconds})
"""


def on_a_terminal(script: str) -> bytes:
    """What `script` writes to a real terminal that is its standard error."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as reader:
        with os.fdopen(terminal, "wb") as stderr:
            environment = {**os.environ, "TERM": "xterm"}
            command = [sys.executable, "-c", script]
            subprocess.run(command, stderr=stderr, env=environment, check=True)
        told = b""
        while True:
            try:
                part = reader.read(4096)
            except OSError:  # how Linux says that the other side is closed
                return told
            if not part:
                return told
            told += part


def test_long_work_spins_and_cleans_up_after_itself() -> None:
    told = on_a_terminal(SPINS.format(seconds=0.9))
    assert b"Thinking (" in told
    assert told.endswith(b"\r\x1b[K")


def test_short_work_is_silent() -> None:
    assert on_a_terminal(SPINS.format(seconds=0.1)) == b""


def test_in_a_pipe_nothing_spins() -> None:
    command = [sys.executable, "-c", SPINS.format(seconds=0.7)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
