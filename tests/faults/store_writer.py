"""Changes a disk store and says so, until it is killed: `store_writer.py FOLDER SEED`.

Prints a JSON line `["?", verb, object, label]` before each change, and `["!", …, answer]`
after it was acknowledged. The folder it starts with may be empty.
"""

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from keyholm.core.errors import PassphraseIncorrect
from keyholm.core.model import (
    Algorithm,
    Key,
    Kind,
    NewKey,
    NewObject,
    Object,
    SecretKey,
    SecretType,
)
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.disk.token import DiskToken
from keyholm.wire.pkcs11.constants import CKA

COST: Final = Cost(1, 64, 1)
MOST_KEYS: Final = 5
AES: Final = SecretKey(SecretType.AES, 32)
PASSPHRASES: Final = (b"one", b"two")


def say(*words: Any) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def named(store: DiskStore, name: str) -> DiskToken | None:
    return next((token for token in store.tokens() if token.name == name), None)


def opened(folder: Path) -> tuple[DiskStore, DiskToken, bytes]:
    """The store, its unlocked token `main`, and the passphrase of it."""
    store = DiskStore(folder, cost=COST, floor=COST)
    if named(store, "main") is None:
        with Secret.of(PASSPHRASES[0]) as passphrase:
            store.make_token("main", 1000, passphrase)
    token = named(store, "main")
    assert token is not None
    for each in PASSPHRASES:
        with Secret.of(each) as passphrase:
            try:
                token.unlock(passphrase)
            except PassphraseIncorrect:
                continue
            return store, token, each
    raise AssertionError("no passphrase opens the token")


class Writer:
    """Each verb makes one change and gives what the label does not tell of it."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.store, self.token, self.passphrase = opened(folder)
        self.chance, self.seed, self.count = random.Random(seed), seed, 0

    def generate(self, key: Key | None, label: str) -> str:
        return self.token.generate(NewKey(label, Algorithm.ED25519), OPEN).place.object

    def secret_key(self, key: Key | None, label: str) -> str:
        given = {CKA.LABEL: label.encode()}
        return self.token.generate(NewKey(label, AES, attributes=given), OPEN).place.object

    def public_object(self, key: Key | None, label: str) -> str:
        new = NewObject(Kind.CERTIFICATE, {CKA.LABEL: label.encode()})
        return self.token.create_object(new, OPEN).place.object

    def private_object(self, key: Key | None, label: str) -> str:
        new = NewObject(Kind.DATA, {CKA.LABEL: label.encode()}, private=True)
        return self.token.create_object(new, OPEN).place.object

    def change_object(self, held: Object, label: str) -> str:
        self.token.change_object(held, {CKA.LABEL: label.encode()})
        return ""

    def remove_object(self, held: Object, label: str) -> str:
        self.token.remove_object(held)
        return ""

    def rename(self, key: Key, label: str) -> str:
        self.token.rename(key, label)
        return ""

    def policy(self, key: Key, label: str) -> str:
        self.token.set_policy(key, Policy(max_uses=self.count))
        return str(self.count)

    def destroy(self, key: Key, label: str) -> str:
        self.token.destroy(key)
        return ""

    def change_passphrase(self, key: Key, label: str) -> str:
        (other,) = (each for each in PASSPHRASES if each != self.passphrase)
        with Secret.of(self.passphrase) as old, Secret.of(other) as new:
            self.token.change_passphrase(old, new)
        self.passphrase = other
        return other.decode()

    def second_token(self, key: Key, label: str) -> str:
        second = named(self.store, "second")
        if second is None:
            self.store.make_token("second", 1000, None)
            return "made"
        self.store.remove_token(second)
        return "removed"

    def step(self) -> None:
        self.count += 1
        keys, objects = list(self.token.keys()), list(self.token.objects())
        verb = self.chance.choice(self.verbs(len(keys), len(objects)))
        held = objects if verb in (self.change_object, self.remove_object) else keys
        target: Any = self.chance.choice(held) if held else None
        name, label = target.place.object if target else "", f"{self.seed}-{self.count}"
        said = (verb.__name__, name, label)
        say("?", *said)
        say("!", *said, verb(target, label))

    def verbs(self, keys: int, objects: int) -> list[Callable[[Any, str], str]]:
        if not keys:
            return [self.generate]
        changes: list[Callable[[Any, str], str]] = [
            self.rename,
            self.policy,
            self.change_passphrase,
            self.second_token,
        ]
        makes: list[Callable[[Any, str], str]] = [
            self.generate,
            self.secret_key,
            self.public_object,
            self.private_object,
        ]
        if keys > MOST_KEYS:
            makes = [self.destroy, self.destroy]
        if objects:
            makes.append(self.change_object)
        if objects > MOST_KEYS:
            makes.append(self.remove_object)
        return [*changes, *makes]


if __name__ == "__main__":
    writer = Writer(Path(sys.argv[1]), sys.argv[2])
    while True:
        writer.step()
