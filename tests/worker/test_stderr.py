"""What is kept, and what is logged, of a worker's standard error."""

from hypothesis import given
from hypothesis import strategies as st

from keyholm.worker.stderr import KEPT, LOGGED, LONGEST, TOLD, Tail


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.tail = Tail(self.lines.append, lambda: self.now)


def test_each_line_is_logged_when_it_is_whole() -> None:
    log = Log()
    for piece in (b"one\ntw", b"o\n", b"\n", b"three"):
        log.tail.take(piece)
    assert log.lines == ["one", "two"]
    log.tail.close()
    assert log.lines == ["one", "two", "three"]
    assert log.tail.lines() == ("one", "two", "three")


def test_of_many_lines_a_few_are_logged_and_the_last_are_kept() -> None:
    log = Log()
    for number in range(1000):
        log.tail.take(b"line %d\n" % number)
    assert log.lines == [f"line {number}" for number in range(LOGGED)]
    assert log.tail.lines() == tuple(f"line {number}" for number in range(1000 - TOLD, 1000))
    left_out = sum(len(f"line {number}\n") for number in range(LOGGED, 1000))
    log.now += 11
    log.tail.take(b"again\n")
    assert log.lines[LOGGED:] == [f"... and {left_out} bytes more", "again"]


def test_what_is_kept_does_not_grow() -> None:
    log = Log()
    for _ in range(100):
        log.tail.take(b"x" * 1000)
    assert len(log.tail._kept) == KEPT


def test_what_is_no_text_does_no_harm() -> None:
    log = Log()
    log.tail.take(b"\x1b[31mred\0\xff\r\n")
    assert log.lines == ["?[31mred?\ufffd"]


@given(st.lists(st.binary(max_size=3 * LONGEST), max_size=60))
def test_never_more_than_a_little_is_kept_or_logged(pieces: list[bytes]) -> None:
    log = Log()
    for piece in pieces:
        log.tail.take(piece)
    log.tail.close()
    assert len(log.lines) <= LOGGED + 1
    assert all(len(line) <= LONGEST and line.isprintable() for line in log.lines)
    assert sum(map(len, log.tail.lines())) <= KEPT
