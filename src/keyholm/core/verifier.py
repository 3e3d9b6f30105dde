"""What somebody typed once, to be compared with what is typed next, and not to be read again."""

import hmac
from typing import Final, Self

from keyholm.core.secret import Secret

_KEY: Final = 32  # bytes


class Verifier:
    """A MAC of it under a random key, which is in locked memory only: argon2id is for what
    could be copied."""

    def __init__(self, typed: Secret) -> None:
        self._key = Secret.random(_KEY)
        self._right = self._keyed(typed)

    def _keyed(self, typed: Secret) -> bytes:
        return hmac.digest(self._key.view, typed.view, "sha256")

    def fits(self, typed: Secret) -> bool:
        return hmac.compare_digest(self._keyed(typed), self._right)

    def close(self) -> None:
        self._key.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
