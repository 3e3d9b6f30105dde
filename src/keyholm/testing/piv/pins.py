"""A PIN or PUK with its counter of tries."""

from dataclasses import dataclass

from keyholm.testing.piv.names import SW, Refused

SIZE = 8
PADDING = b"\xff"
SHORTEST = 6


def padded(text: str) -> bytes:
    return text.encode().ljust(SIZE, PADDING)


@dataclass(slots=True)
class Pin:
    value: bytes  # padded
    tries: int = 3
    left: int = 3
    default: bool = True

    @classmethod
    def of(cls, text: str) -> "Pin":
        return cls(padded(text))

    def state(self) -> int:
        """The status of a question without an attempt."""
        return SW.TRIES_LEFT | self.left if self.left else SW.AUTHENTICATION_METHOD_BLOCKED

    def check(self, given: bytes) -> None:
        if len(given) != SIZE:
            raise Refused(SW.WRONG_LENGTH)
        if not self.left:
            raise Refused(SW.AUTHENTICATION_METHOD_BLOCKED)
        self.left -= 1  # before the comparison, as a card does that may lose its power in it
        if given != self.value:
            raise Refused(self.state())
        self.left = self.tries

    def change(self, new: bytes) -> None:
        if len(new) != SIZE:
            raise Refused(SW.WRONG_LENGTH)
        if len(new.rstrip(PADDING)) < SHORTEST:
            raise Refused(SW.INCORRECT_DATA)
        self.value, self.left, self.default = new, self.tries, False

    def limit(self, tries: int) -> None:
        self.tries = self.left = tries
