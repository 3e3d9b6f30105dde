"""FIDO keys: what they need is kept as a software key is, but the authenticator signs."""

from collections.abc import Callable

from msgspec import Struct

from keyholm.core.errors import MechanismUnsupported, StoreFailed
from keyholm.core.mechanisms import Input, Mechanism, Message, SecurityKey, spelling
from keyholm.stores.software.shield import Shielded
from keyholm.wire.ssh.private_keys import Private, PrivateSkEcdsa, PrivateSkEd25519

SkSign = Callable[[PrivateSkEd25519 | PrivateSkEcdsa, str, bytes], bytes]
"""Has the authenticator sign: the key, the middleware that drives it, the message."""


def no_helper(private: PrivateSkEd25519 | PrivateSkEcdsa, provider: str, data: bytes) -> bytes:
    raise StoreFailed(
        "FIDO keys cannot be used: there is no ssh-sk-helper.",
        remedy="Install OpenSSH's client package.",
    )


class ByDevice(Struct, frozen=True):
    """A FIDO key as the memory store holds it."""

    private: Shielded
    provider: str
    sk_sign: SkSign

    def sign(self, mechanism: Mechanism, data: Input) -> bytes:
        return sign(self.private, self.provider, mechanism, data, self.sk_sign)

    def close(self) -> None:
        self.private.close()


def sign(
    shielded: Shielded, provider: str, mechanism: Mechanism, data: Input, sk_sign: SkSign
) -> bytes:
    if not isinstance(mechanism, SecurityKey) or not isinstance(data, Message):
        raise MechanismUnsupported(
            f"A FIDO key signs whole messages, and not by {spelling(mechanism)}."
        )
    message = data.data

    def ask(private: Private) -> bytes:
        if not isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa):
            raise StoreFailed("This is not a FIDO key.")
        return sk_sign(private, provider, message)

    return shielded.with_private(ask)
