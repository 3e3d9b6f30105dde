"""Passphrases come from the first line of a file or blindly from the terminal, and are bounded."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyholm.cli.passphrase import LONGEST, from_file, new_passphrase, passphrase, with_proof
from keyholm.core.errors import BadRequest, ProofNeeded


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"open sesame\n", b"open sesame"),
        (b"open sesame", b"open sesame"),
        (b"open sesame\r\nmore\n", b"open sesame"),
        (b" spaces count \n", b" spaces count "),
        ("Öl\n".encode(), "Öl".encode()),
        (b"x" * LONGEST, b"x" * LONGEST),
    ],
)
def test_the_first_line_of_a_file_is_the_passphrase(
    tmp_path: Path, content: bytes, secret: bytes
) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    with from_file(str(path)) as found:
        assert bytes(found.view) == secret


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "no passphrase"), (b"\nmore", "no passphrase"), (b"x" * (LONGEST + 1), "more than")],
)
def test_a_file_without_a_passphrase_is_refused(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match=sentence):
        from_file(str(path))


def test_a_folder_is_no_passphrase(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Is a directory"):
        from_file(str(tmp_path))


def test_two_lines_of_one_input_are_two_passphrases() -> None:
    script = (
        "from keyholm.cli.passphrase import from_file\n"
        "with from_file('-') as one, from_file('-') as two:\n"
        "    print(bytes(one.view), bytes(two.view))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=b"one\ntwo\n", capture_output=True, check=True)
    assert done.stdout == b"b'one' b'two'\n"


def test_proof_is_asked_for_only_when_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"open sesame\n")
    assert with_proof(len, None, "main") == 0
    assert with_proof(lambda secrets: bytes(secrets[0]), str(path), "main") == b"open sesame"
    with pytest.raises(ProofNeeded):
        with_proof(_wants_more, str(path), "main")


def _wants_more(secrets: object) -> None:
    raise ProofNeeded("More.")


class Typing:
    """A process with a terminal of its own, and us at the keyboard."""

    def __init__(self, script: str) -> None:
        self.pid, self.screen = pty.fork()
        if not self.pid:
            os.execv(sys.executable, [sys.executable, "-c", script])
        self.seen = b""

    def until(self, text: bytes) -> None:
        deadline = time.monotonic() + 20
        while text not in self.seen:
            ready, _, _ = select.select([self.screen], [], [], deadline - time.monotonic())
            assert ready, self.seen
            try:
                self.seen += os.read(self.screen, 1024)
            except OSError:  # how Linux says that the other side is closed
                assert text in self.seen, self.seen
                return

    def type(self, text: bytes) -> None:
        os.write(self.screen, text)

    def close(self) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.screen)
        return status


ASKS = """
import sys
from keyholm.cli.main import tell
from keyholm.cli.passphrase import new_passphrase, passphrase
from keyholm.core.errors import KeyholmError
try:
    with {call} as secret:
        print("got", bytes(secret.view))
except KeyholmError as error:
    sys.exit(tell(error, as_json=False))
"""


@pytest.fixture
def typing(request: pytest.FixtureRequest) -> Iterator[Typing]:
    made = Typing(ASKS.format(call=request.param))
    yield made
    made.close()


@pytest.mark.parametrize("typing", ["passphrase(None, 'Passphrase of main')"], indirect=True)
def test_what_is_typed_is_not_shown(typing: Typing) -> None:
    typing.until(b"Passphrase of main: ")
    typing.type(b"hunter2\n")
    typing.until(b"got b'hunter2'")
    assert typing.seen.count(b"hunter2") == 1


@pytest.mark.parametrize("typing", ["passphrase(None, 'Passphrase')"], indirect=True)
def test_an_interrupt_gives_the_echo_back(typing: Typing) -> None:
    import termios

    typing.until(b"Passphrase: ")
    assert not termios.tcgetattr(typing.screen)[3] & termios.ECHO
    typing.type(b"\x03")
    typing.until(b"KeyboardInterrupt")
    assert termios.tcgetattr(typing.screen)[3] & termios.ECHO


@pytest.mark.parametrize("typing", ["new_passphrase(None, 'main')"], indirect=True)
def test_a_new_passphrase_is_typed_twice(typing: Typing) -> None:
    typing.until(b"New passphrase for main: ")
    typing.type(b"one\n")
    typing.until(b"again: ")
    typing.type(b"one\n")
    typing.until(b"got b'one'")


@pytest.mark.parametrize("typing", ["new_passphrase(None, 'main')"], indirect=True)
def test_a_new_passphrase_that_differs_is_refused(typing: Typing) -> None:
    typing.until(b"New passphrase for main: ")
    typing.type(b"one\n")
    typing.until(b"again: ")
    typing.type(b"two\n")
    typing.until(b"do:")
    assert b"differ" in typing.seen


@pytest.mark.parametrize("typing", ["new_passphrase(None, 'main')"], indirect=True)
def test_an_empty_new_passphrase_is_refused(typing: Typing) -> None:
    typing.until(b"New passphrase for main: ")
    typing.type(b"\n")
    typing.until(b"protects nothing")


def test_a_file_needs_no_second_reading(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"one\n")
    with new_passphrase(str(path), "main") as new, passphrase(str(path), "?") as old:
        assert new == old
