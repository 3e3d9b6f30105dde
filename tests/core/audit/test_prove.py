"""Proofs: each signed record can be shown to somebody who has only the trail's key."""

from pathlib import Path

import pytest
from tests.core.audit.trails import SELDOM, operation, stored

from keyholm.core.audit.note import BadNote, SigningKey, VerifyingKey
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.prove import prove, proven
from keyholm.core.errors import BadRequest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        for number in range(180):
            trail.append(operation(latency=number))
    return tmp_path / "serve-0"


def vkey(path: Path) -> VerifyingKey:
    return VerifyingKey.parse((path / "vkey").read_text().strip())


def test_every_record_is_proven(home: Path) -> None:
    records = stored(home).raw
    for number in range(0, len(records), 11):
        assert proven(prove(home, number), vkey(home)) == records[number]


# Records of one digit more each: the unused bits at the end of base64 differ.
@pytest.mark.parametrize("number", [8, 60, 150])
def test_every_changed_byte_of_a_proof_is_refused(home: Path, number: int) -> None:
    proof = prove(home, number)
    for place in range(len(proof)):
        changed = proof[:place] + ("A" if proof[place] != "A" else "B") + proof[place + 1 :]
        with pytest.raises(BadNote):
            proven(changed, vkey(home))


def test_a_proof_is_of_the_form_that_c2sp_specifies(home: Path) -> None:
    lines = prove(home, 3).split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 3"
    assert lines[lines.index("") + 1] == vkey(home).name


def test_a_proof_of_a_stranger_is_refused(home: Path) -> None:
    stranger = SigningKey(vkey(home).name, bytes(32)).verifying
    with pytest.raises(BadNote, match="has not signed"):
        proven(prove(home, 3), stranger)
    with pytest.raises(BadNote, match="is not known"):
        proven(prove(home, 3))


def test_a_record_that_is_not_there_cannot_be_proven(home: Path) -> None:
    with pytest.raises(BadRequest, match="records 0 to 18"):
        prove(home, 1000)


def test_a_record_that_is_not_signed_yet_cannot_be_proven(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        trail.checkpoint()
        number = trail.append(operation())
        with pytest.raises(BadRequest, match="a second after"):
            prove(tmp_path / "serve-0", number)
