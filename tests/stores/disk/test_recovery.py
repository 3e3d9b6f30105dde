"""Recovery codes: read as they are printed, however they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.secret import Secret
from keyholm.stores.disk import recovery

codes = st.binary(min_size=recovery.CODE, max_size=recovery.CODE)


def shown(code: bytes) -> str:
    with Secret.of(code) as secret, recovery.shown(secret) as text:
        return bytes(text.view).decode()


def typed(text: str) -> bytes | None:
    with Secret.of(text.encode()) as secret:
        code = recovery.typed(secret)
    if code is None:
        return None
    with code:
        return bytes(code.view)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # The check letters are the first 12 bits of SHA-256("keyholm recovery code" + code).
        (bytes(16), "0000-0000-0000-0000-0000-0000-"),
        (b"\xff" * 16, "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-Z"),
    ],
)
def test_a_code_is_seven_groups_of_crockfords_letters(code: bytes, text: str) -> None:
    assert shown(code).startswith(text)
    assert len(shown(code)) == 34


@given(codes)
def test_what_is_printed_is_read(code: bytes) -> None:
    assert typed(shown(code)) == code


@given(codes, st.sampled_from([str.lower, lambda text: text.replace("-", "")]))
def test_it_may_be_typed_in_small_letters_and_without_dashes(code: bytes, way: object) -> None:
    assert typed(way(shown(code))) == code  # type: ignore[operator]


@given(codes)
def test_letters_that_look_like_digits_are_read_as_them(code: bytes) -> None:
    text = shown(code)
    for digit, letters in (("0", "Oo"), ("1", "IiLl")):
        for letter in letters:
            assert typed(text.replace(digit, letter)) == code
    assert typed(f"  {text.replace('-', ' ')}\n") == code


@given(codes, st.data())
def test_one_wrong_letter_is_found_nearly_always(code: bytes, data: st.DataObject) -> None:
    text = list(shown(code))
    at = data.draw(st.sampled_from([at for at, letter in enumerate(text) if letter != "-"]))
    letters = set(recovery.ALPHABET.decode()) - {text[at]}
    found = [typed("".join([*text[:at], letter, *text[at + 1 :]])) for letter in sorted(letters)]

    assert code not in found
    assert sum(each is not None for each in found) <= 1  # one in 4096 looks right


@given(st.text(max_size=60))
def test_other_text_is_no_code(text: str) -> None:
    code = typed(text)
    if code is not None:
        assert shown(code).replace("-", "") == "".join(
            {"O": "0", "I": "1", "L": "1"}.get(letter, letter)
            for letter in text.upper()
            if letter not in " -\t\r\n"
        )


def test_new_codes_are_never_alike() -> None:
    made = set()
    for _ in range(200):
        with recovery.new() as code:
            made.add(bytes(code.view))
    assert len(made) == 200
