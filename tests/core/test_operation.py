"""Operations in parts: what they record and when, and that an error is their end."""

from dataclasses import dataclass, field

import pytest

from keyholm.core.errors import BadRequest, DataInvalid, KeyholmError, LimitExceeded
from keyholm.core.operation import MAX_MESSAGE, Collected, Operation, Public, Streamed


@dataclass
class Running:
    """Gives each part back in capitals, and fails at `bad`."""

    gives: bool = True

    def update(self, data: bytes) -> bytes:
        if data == b"bad":
            raise DataInvalid("This is bad.")
        return data.upper() if self.gives else b""

    def finish(self, signature: bytes = b"") -> bytes:
        return b"." + signature


@dataclass
class Account:
    told: list[str] = field(default_factory=list)

    def intend(self) -> None:
        self.told.append("intend")

    def done(self, digest: bytes, length: int, output: bytes) -> None:
        self.told.append(f"done {length}")

    def failed(self, digest: bytes, length: int, error: KeyholmError) -> None:
        self.told.append(f"failed {length}")


def operations(account: Account) -> list[Operation]:
    return [Streamed(Running(), account), Public(Running())]


def test_what_gives_nothing_before_its_end_has_one_record() -> None:
    account = Account()
    operation = Streamed(Running(gives=False), account)
    assert operation.update(b"ab") == b""
    assert account.told == []
    assert operation.finish() == b"."
    assert account.told == ["done 2"]


def test_the_record_is_there_before_the_first_byte_leaves() -> None:
    account = Account()
    operation = Streamed(Running(), account)
    assert operation.update(b"ab") == b"AB"
    assert account.told == ["intend"]
    operation.update(b"c")
    operation.finish()
    assert account.told == ["intend", "done 3"]


def test_what_is_left_after_something_was_told_is_recorded() -> None:
    account = Account()
    operation = Streamed(Running(), account)
    operation.update(b"ab")
    operation.abort()
    assert account.told == ["intend", "done 2"]


@pytest.mark.parametrize("which", [0, 1])
def test_an_error_is_the_end(which: int) -> None:
    account = Account()
    operation = operations(account)[which]
    with pytest.raises(DataInvalid):
        operation.update(b"bad")
    with pytest.raises(BadRequest):
        operation.update(b"good")
    with pytest.raises(BadRequest):
        operation.finish()
    assert account.told == (["failed 3"] if which == 0 else [])


@pytest.mark.parametrize("which", [0, 1])
def test_nothing_comes_after_the_end(which: int) -> None:
    operation = operations(Account())[which]
    assert operation.finish(b"sig") == b".sig"
    with pytest.raises(BadRequest):
        operation.finish()


def test_what_is_collected_is_used_once_and_bounded() -> None:
    used: list[bytes] = []

    def use(message: bytes) -> bytes:
        used.append(message)
        return b"signed"

    operation = Collected(use)
    operation.update(b"a")
    operation.update(b"b")
    assert operation.finish() == b"signed"
    assert used == [b"ab"]
    large = Collected(use)
    large.update(bytes(MAX_MESSAGE))
    with pytest.raises(LimitExceeded):
        large.update(b"x")
    with pytest.raises(BadRequest):
        large.finish()
