import pytest

from keyholm.wire import bcrypt_pbkdf

# OpenBSD regress/lib/libutil/bcrypt_pbkdf, its vectors of few rounds.
VECTORS = [
    (4, b"password", b"salt", "5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9"),
    (4, b"password", b"\0", "c12b566235eee04c212598970a579a67"),
    (4, b"\0", b"salt", "6051be18c2f4f82cbf0efee5471b4bb9"),
]


@pytest.mark.parametrize(("rounds", "passphrase", "salt", "key"), VECTORS)
def test_vector(rounds: int, passphrase: bytes, salt: bytes, key: str) -> None:
    derived = bcrypt_pbkdf.derive(passphrase, salt, len(key) // 2, rounds)
    assert derived.hex() == key


def test_blowfish_starts_from_pi() -> None:
    # The first and last words of the tables in Schneier's paper.
    words = bcrypt_pbkdf._pi_words()
    assert (words[0], words[17], words[18], words[-1]) == (
        0x243F6A88,
        0x8979FB1B,
        0xD1310BA6,
        0x3AC372E6,
    )


@pytest.mark.parametrize(
    ("passphrase", "salt", "size", "rounds"),
    [(b"", b"s", 1, 1), (b"p", b"", 1, 1), (b"p", b"s", 0, 1), (b"p", b"s", 1, 0)],
)
def test_nothing_is_derived_from_nothing(
    passphrase: bytes, salt: bytes, size: int, rounds: int
) -> None:
    with pytest.raises(ValueError, match="needs a passphrase"):
        bcrypt_pbkdf.derive(passphrase, salt, size, rounds)
