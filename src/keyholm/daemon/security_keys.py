"""FIDO keys, as the memory store uses them: through the steward and OpenSSH's helper.

A touch is waited for with a notice on the screen; a PIN is asked for when the device wants
one, once, as ssh-agent does.
"""

from typing import Final

from keyholm.core.errors import ConsentDenied, ProofNeeded
from keyholm.core.prompt import Kind
from keyholm.core.secret import Secret
from keyholm.daemon.asker import Asker
from keyholm.daemon.steward.client import StewardClient
from keyholm.wire.codec import Malformed
from keyholm.wire.ssh import keys, signatures
from keyholm.wire.ssh.private_keys import PRIVATE, PrivateSkEcdsa, PrivateSkEd25519

USER_PRESENCE: Final = 0x01  # flags of the key (PROTOCOL.u2f)
SECONDS: Final = 60.0

Private = PrivateSkEd25519 | PrivateSkEcdsa


class SecurityKeys:
    def __init__(self, steward: StewardClient, asker: Asker) -> None:
        self._steward, self._asker = steward, asker

    def sign(self, private: Private, provider: str, data: bytes) -> bytes:
        """The assertion: the signature, a byte of flags, a counter of four bytes."""
        key = bytes(PRIVATE.write(private))
        try:
            blob = self._touched(private, key, provider, data, None)
        except ProofNeeded:
            with self._pin(private) as pin:
                blob = self._touched(private, key, provider, data, pin)
        try:
            return signatures.decode(blob).raw
        except Malformed as error:
            raise ConsentDenied("The FIDO device answered with something else.") from error

    def _touched(
        self, private: Private, key: bytes, provider: str, data: bytes, pin: Secret | None
    ) -> bytes:
        if not private.flags & USER_PRESENCE:
            return self._steward.sign_with_key(key, provider, data, pin, SECONDS)
        notice = self._steward.show(
            self._asker.question(Kind.NOTICE, f"Confirm user presence for key {_named(private)}")
        )
        try:
            return self._steward.sign_with_key(key, provider, data, pin, SECONDS)
        finally:
            notice.withdraw()

    def _pin(self, private: Private) -> Secret:
        """Raises `NoPrompter` and `ConsentDenied`."""
        question = self._asker.question(
            Kind.SECRET, f"The FIDO key {_named(private)} wants its PIN.", "PIN:"
        )
        answer = self._steward.ask(question)
        if answer.secret is None:
            raise ConsentDenied(f"No PIN was given for the FIDO key ({answer.reason}).")
        return answer.secret


def _named(private: Private) -> str:
    public = private.public
    return f"{keys.type_name(public)} {keys.fingerprint(keys.encode(public))}"
