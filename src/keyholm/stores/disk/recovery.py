"""Recovery codes: 128 random bits and a checksum, as letters that can be read aloud.

Twenty-eight letters of Crockford's base32 in seven groups. What looks alike is read alike
(0 and O, 1, I and L), and a mistyped letter is found before anything is tried.
"""

import hashlib
from typing import Final

from keyholm.core.secret import Secret

CODE: Final = 16  # bytes
CHECK_BITS: Final = 12
LETTERS: Final = 28
GROUP: Final = 4
ALPHABET: Final = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {
    **{letter: value for value, letter in enumerate(ALPHABET)},
    **{letter: value for value, letter in enumerate(ALPHABET.lower())},
    **dict.fromkeys(b"Oo", 0),
    **dict.fromkeys(b"IiLl", 1),
}
_BETWEEN: Final = frozenset(b" -\t\r\n")


def new() -> Secret:
    """The 16 bytes of a new code."""
    return Secret.random(CODE)


def shown(code: Secret) -> Secret:
    """`code` as it is printed: 7 groups of 4 letters."""
    bits = int.from_bytes(code.view) << CHECK_BITS | _check(code)
    text = Secret(LETTERS + LETTERS // GROUP - 1)
    at = 0
    for number in range(LETTERS):
        if number and number % GROUP == 0:
            text.view[at] = ord("-")
            at += 1
        text.view[at] = ALPHABET[bits >> 5 * (LETTERS - 1 - number) & 31]
        at += 1
    return text


def typed(text: Secret) -> Secret | None:
    """The bytes of what somebody typed; None where it is no code, or one letter is wrong."""
    bits = count = 0
    for letter in text.view:
        if letter in _BETWEEN:
            continue
        value = _VALUES.get(letter)
        if value is None or count == LETTERS:
            return None
        bits, count = bits << 5 | value, count + 1
    if count != LETTERS:
        return None
    code = Secret.of((bits >> CHECK_BITS).to_bytes(CODE))
    if _check(code) == bits & (1 << CHECK_BITS) - 1:
        return code
    code.close()
    return None


def _check(code: Secret) -> int:
    digest = hashlib.sha256(b"keyholm recovery code" + bytes(code.view)).digest()
    return int.from_bytes(digest[:2]) >> 16 - CHECK_BITS
