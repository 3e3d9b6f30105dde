"""Signed notes and checkpoints (C2SP), against Go's sumdb/note and against every change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.audit.note import (
    BadNote,
    Checkpoint,
    SigningKey,
    VerifyingKey,
    open_note,
    sign_note,
)

# The example of golang.org/x/mod/sumdb/note.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqd"
    "ngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE = f"{TEXT}\n{SIGNATURE}".encode()

KEY = SigningKey("keyholm.github.io/trail/test", bytes(range(32)))
CHECKPOINT = Checkpoint(KEY.name, 1234, bytes(range(32)))


def test_the_example_of_go_is_signed_and_opened() -> None:
    key = SigningKey.parse(PRIVATE)
    assert sign_note(TEXT, key) == NOTE
    assert str(key.verifying) == PUBLIC
    assert open_note(NOTE, VerifyingKey.parse(PUBLIC)).text == TEXT
    assert key.private_text() == PRIVATE


def test_a_checkpoint_reads_as_it_was_written() -> None:
    opened = open_note(sign_note(CHECKPOINT.text(), KEY), KEY.verifying)
    assert Checkpoint.parse(opened.text) == CHECKPOINT
    assert CHECKPOINT.text() == (
        "keyholm.github.io/trail/test\n1234\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    )


def test_every_bit_of_a_note_counts() -> None:
    note = sign_note(CHECKPOINT.text(), KEY)
    for place in range(len(note) * 8):
        changed = bytearray(note)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(BadNote):
            open_note(bytes(changed), KEY.verifying)


def test_every_bit_of_both_keys_counts() -> None:
    for text, parse in ((PUBLIC, VerifyingKey.parse), (PRIVATE, SigningKey.parse)):
        for place in range(len(text) * 8):
            changed = bytearray(text.encode())
            changed[place // 8] ^= 1 << place % 8
            try:
                again = parse(changed.decode())
            except ValueError:
                continue
            # Another seed, or another name, is another key: it has no place to hide.
            assert str(getattr(again, "verifying", again)) != PUBLIC


def test_a_note_cut_or_continued_is_refused() -> None:
    note = sign_note(CHECKPOINT.text(), KEY)
    for cut in range(len(note)):
        with pytest.raises(BadNote):
            open_note(note[:cut], KEY.verifying)
    for more in (b"\n", b"x", b"\n\n", b"\xff"):
        with pytest.raises(BadNote):
            open_note(note + more, KEY.verifying)


def test_a_second_signature_is_kept_apart_from_strangers() -> None:
    seal, stranger = SigningKey("seal", bytes(32)), SigningKey("stranger", bytes(32))
    note = sign_note(CHECKPOINT.text(), KEY, seal, stranger)
    opened = open_note(note, KEY.verifying, seal.verifying)
    assert opened.signed_by == (KEY.name, "seal")
    assert opened.unknown == ("stranger",)


def test_a_note_without_the_first_signature_is_refused() -> None:
    seal = SigningKey("seal", bytes(32))
    with pytest.raises(BadNote, match="has not signed"):
        open_note(sign_note(CHECKPOINT.text(), seal), KEY.verifying, seal.verifying)


@given(st.binary())
def test_arbitrary_bytes_are_no_note(text: bytes) -> None:
    with pytest.raises(BadNote):
        open_note(text, KEY.verifying)


@given(st.text())
def test_arbitrary_text_is_a_checkpoint_or_refused(text: str) -> None:
    try:
        checkpoint = Checkpoint.parse(text)
    except BadNote:
        return
    assert checkpoint.text() == text


@pytest.mark.parametrize("size", ["01", "-1", "+1", "1 ", "", "1e3", "99999999999999999999"])
def test_a_size_is_written_in_one_way(size: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(CHECKPOINT.text().replace("1234", size))


def test_the_private_half_is_not_in_its_repr() -> None:
    assert "AYEKFALV" not in repr(SigningKey.parse(PRIVATE))
