"""The answer to "which keys do you have?", kept until something changes.

A list of 10,000 keys is 700 KB that nobody wants to build at each login.
"""

from typing import Final

from msgspec import Struct

from keyholm.core.caller import Caller
from keyholm.core.gate import Gate
from keyholm.core.model import Key
from keyholm.core.visibility import Sight, Visibility
from keyholm.wire.ssh import agent

MAX_ANSWERS: Final = 256


class _Answer(Struct, frozen=True):
    keys: tuple[Key, ...]
    epoch: int  # of certificates and withdrawals
    frame: bytes


class Listing:
    def __init__(self, gate: Gate, withdrawn: set[str], visibility: Visibility) -> None:
        self._gate, self._withdrawn, self._visibility = gate, withdrawn, visibility
        self._changes = 0
        self._answers: dict[tuple[int, Sight | None], _Answer] = {}

    def changed(self) -> None:
        self._changes += 1

    def answer(self, caller: Caller) -> bytes:
        keys = self._gate.keys(caller)
        lasting = [key for key in keys if key.place.store != "memory"] if len(keys) < 100 else ()
        for key in lasting:
            self._gate.certificates.of(key)
        epoch = self._changes + self._gate.certificates.epoch
        sight = self._visibility.of(caller)
        asker = (caller.uid, sight)
        known = self._answers.get(asker)
        if known is not None and known.keys is keys and known.epoch == epoch:
            return known.frame
        shown = keys if sight is None else tuple(key for key in keys if sight.shows(key))
        frame = agent.encode(agent.IdentitiesAnswer(tuple(self._identities(shown))))
        if not caller.bindings:
            if len(self._answers) >= MAX_ANSWERS:  # of rules that hold no longer
                self._answers.clear()
            self._answers[asker] = _Answer(keys, epoch, frame)
        return frame

    def _identities(self, keys: tuple[Key, ...]) -> list[agent.Identity]:
        seen: set[bytes] = set()
        found = []
        for key in keys:
            if key.ssh is None or key.id in self._withdrawn:
                continue
            for blob in (key.identity, *self._beside(key)):
                if blob not in seen:
                    seen.add(blob)
                    found.append(agent.Identity(blob, key.label.encode()))
        return found

    def _beside(self, key: Key) -> list[bytes]:
        if key.certificate:
            return []
        return [held.blob for held in self._gate.certificates.of(key)]

    def offers(self, key: Key, certificate: bytes) -> bool:
        return certificate in self._beside(key)
