"""Policies of keys on vendors' tokens last, and are not changed behind our back."""

from pathlib import Path

import pytest

from keyholm.core.errors import StoreDamaged, StoreFailed
from keyholm.core.model import KeyId
from keyholm.core.policies import KEY_NAME, NAME, Policies
from keyholm.core.policy import OPEN, Confirm, Policy

ONE, OTHER = KeyId("a" * 64), KeyId("b" * 64)
CONFIRMED = Policy(confirm=Confirm(asked=True))


def test_a_policy_is_there_after_a_restart(tmp_path: Path) -> None:
    policies = Policies(tmp_path)
    assert policies.of(ONE) == OPEN
    policies.set(ONE, CONFIRMED)
    again = Policies(tmp_path)
    assert (again.of(ONE), again.of(OTHER)) == (CONFIRMED, OPEN)
    again.set(ONE, OPEN)
    assert Policies(tmp_path).of(ONE) == OPEN


def test_without_a_folder_nothing_lasts() -> None:
    policies = Policies(None)
    policies.set(ONE, CONFIRMED)
    assert policies.of(ONE) == CONFIRMED


def test_every_changed_byte_closes_the_keys(tmp_path: Path) -> None:
    Policies(tmp_path).set(ONE, CONFIRMED)
    for name in (NAME, KEY_NAME):
        path = tmp_path / name
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :])
            with pytest.raises(StoreDamaged, match=NAME):
                Policies(tmp_path).of(ONE)
        path.write_bytes(good)
    assert Policies(tmp_path).of(ONE) == CONFIRMED


@pytest.mark.parametrize("name", [NAME, KEY_NAME])
def test_a_file_that_was_taken_away_closes_the_keys(tmp_path: Path, name: str) -> None:
    Policies(tmp_path).set(ONE, CONFIRMED)
    (tmp_path / name).unlink()
    policies = Policies(tmp_path)
    for act in (lambda: policies.of(OTHER), lambda: policies.set(ONE, OPEN)):
        with pytest.raises(StoreDamaged):
            act()


def test_both_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    Policies(tmp_path).set(ONE, CONFIRMED)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (NAME, KEY_NAME)} == {0o600}


def test_what_cannot_be_written_is_not_set(tmp_path: Path) -> None:
    policies = Policies(tmp_path)
    (tmp_path / f"{NAME}.new").mkdir()
    with pytest.raises(StoreFailed):
        policies.set(ONE, CONFIRMED)
    assert policies.of(ONE) == OPEN
