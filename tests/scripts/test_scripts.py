"""The command line as text: each page of *.txt is what a user types, with what comes back.

A line that begins with `$ ` is typed to bash; the lines below it are what must be printed, on
standard output and standard error together. `...` within a line stands for any text, alone on
a line for any lines. `[77]` is the exit status where it is not 0. Lines that begin with `#`
after an empty line are for the reader. A command that ends in ` &` stays in the background until the page ends,
and prints its first line. DIR is the folder of the page.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.programs import program

PAGES = sorted(Path(__file__).parent.glob("*.txt"))
COMMANDS = Path(sys.executable).parent
FOREIGN = re.compile(
    r"(?<![-\w./])(?:ssh-keygen|ssh-add|ssh-agent|ssh|git|openssl|softhsm2-util|pkcs11-tool)(?= )"
)
PATIENCE = 60  # seconds for one command


@dataclass
class Step:
    line: int
    command: str
    expected: list[str] = field(default_factory=list)


def steps_of(page: str) -> list[Step]:
    steps: list[Step] = []
    for paragraph in re.finditer(r"(?:.+\n)+", page):
        lines = paragraph.group().splitlines()
        if lines[0].startswith("#"):
            continue
        number = page.count("\n", 0, paragraph.start()) + 1
        for offset, line in enumerate(lines):
            if line.startswith("$ "):
                steps.append(Step(number + offset, line.removeprefix("$ ")))
            else:
                steps[-1].expected.append(line)
        steps[-1].expected.append("")  # printed only if more of the output follows
    for step in steps:
        while step.expected and not step.expected[-1]:
            del step.expected[-1]
    return steps


def pattern_of(expected: list[str]) -> str:
    parts = []
    for line in expected:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line).replace(re.escape("..."), ".*?") + r"\n")
    return "".join(parts)


class Shell:
    """Runs the commands of one page in a folder of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        (folder / "user").mkdir()
        self.environment = {
            "PATH": f"{COMMANDS}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "HOME": str(folder / "user"),
            "KEYHOLM_HOME": str(folder / "home"),
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }

    def run(self, command: str) -> str:
        """What it prints, with its exit status if that is not 0."""
        if command.endswith(" &"):
            return self._begin(command.removesuffix(" &"))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
            start_new_session=True,  # without a terminal, wherever the tests run
        )
        status = f"[{done.returncode}]\n" if done.returncode else ""
        return self._told(done.stdout) + status

    def _begin(self, command: str) -> str:
        process = self._stack.enter_context(
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        self._stack.callback(process.send_signal, signal.SIGTERM)
        assert process.stdout
        return self._told(process.stdout.readline())

    def _told(self, output: str) -> str:
        output = output.replace(str(self.folder), "DIR")
        return output if output.endswith("\n") or not output else f"{output}\n"


@contextmanager
def shell() -> Iterator[Shell]:
    # A socket's path may have 107 bytes, which pytest's own folders can use up.
    with TemporaryDirectory(prefix="kh-") as folder, ExitStack() as stack:
        yield Shell(Path(folder), stack)


@pytest.mark.interop
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path) -> None:
    steps = steps_of(page.read_text())
    for name in FOREIGN.findall("\n".join(step.command for step in steps)):
        program(name)
    with shell() as running:
        for step in steps:
            found = running.run(step.command)
            assert re.fullmatch(pattern_of(step.expected), found), (
                f"{page.name}:{step.line}: $ {step.command}\n--- expected\n"
                + "\n".join(step.expected)
                + f"\n--- found\n{found}"
            )


def test_a_page_is_read_as_it_says() -> None:
    first, second = steps_of("# A page.\n\n$ one\n# said\n\n$ two &\n...\n[1]\n")
    assert (first.command, first.expected) == ("one", ["# said"])
    assert (second.line, second.expected) == (6, ["...", "[1]"])


@pytest.mark.parametrize(
    ("expected", "found", "fits"),
    [
        (["a...c"], "abc\n", True),
        (["a...c"], "ab\nc\n", False),
        (["a.c"], "abc\n", False),
        (["...", "c"], "a\nb\nc\n", True),
        (["..."], "", True),
        ([], "a\n", False),
    ],
)
def test_dots_stand_for_what_they_should(expected: list[str], found: str, fits: bool) -> None:
    assert bool(re.fullmatch(pattern_of(expected), found)) is fits
