"""Closing the agent with a password, as `ssh-add -x` does (ssh-agent.md, section 1.5).

A wrong password costs a delay that grows with each one, on that connection only: OpenSSH
makes every client wait.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keyholm.core.errors import BadRequest, DoorLocked, PassphraseIncorrect
from keyholm.core.secret import Secret

DELAY: Final = 0.1  # seconds, for each wrong password so far
LONGEST: Final = 10.0
_COST: Final = {"length": 32, "n": 2**14, "r": 8, "p": 1}


class DoorLock:
    def __init__(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._lock = threading.Lock()
        self._salt = b""
        self._verifier = b""
        self._failures = 0
        self._sleep = sleep

    @property
    def closed(self) -> bool:
        return bool(self._verifier)

    def close(self, password: Secret) -> None:
        if not password:
            raise BadRequest("An empty password locks nothing.")
        salt = os.urandom(16)
        verifier = Scrypt(salt=salt, **_COST).derive(bytes(password.view))
        with self._lock:
            if self._verifier:
                raise DoorLocked("The agent is locked already.")
            self._salt, self._verifier, self._failures = salt, verifier, 0

    def open(self, password: Secret) -> None:
        with self._lock:
            salt, verifier = self._salt, self._verifier
        if not verifier:
            raise BadRequest("The agent is not locked.")
        try:
            Scrypt(salt=salt, **_COST).verify(bytes(password.view), verifier)
        except InvalidKey:
            with self._lock:
                self._failures += 1
                delay = min(LONGEST, DELAY * self._failures)
            self._sleep(delay)
            raise PassphraseIncorrect("The password that unlocks the agent is wrong.") from None
        with self._lock:
            # Closed anew in the meantime, with another password: that one counts.
            if self._verifier is verifier:
                self._salt, self._verifier, self._failures = b"", b"", 0
