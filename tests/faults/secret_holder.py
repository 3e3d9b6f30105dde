"""Handles a key as the stores do and looks for its seed in all of its own memory.

The seed is random and this program never has it in anything but a `Secret`: what is looked
for is compared by a search of the C library, from locked memory, page by page.
"""

import ctypes
import gc
import json
import os
import re
import sys
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keyholm.core.mechanisms import EdDsa, Message
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.core.store import Handover
from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.store import DiskStore
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software.shield import Shield
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import PrivateEd25519

COST: Final = Cost(1, 64, 1)
MESSAGE: Final = Message(b"message")
BLOCK: Final = 1 << 20

_libc = ctypes.CDLL(None)
_libc.memmem.restype = ctypes.c_void_p
_libc.memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
_libc.pread.restype = ctypes.c_ssize_t
_libc.pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)


def address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class Searcher:
    """Counts the places where `seed` is, its own copy and its own buffer left out."""

    def __init__(self, seed: Secret) -> None:
        self._seed = seed
        self._room = Secret(BLOCK + len(seed))
        self._memory = os.open("/proc/self/mem", os.O_RDONLY)

    def count(self) -> int:
        gc.collect()
        found = 0
        for line in Path("/proc/self/maps").read_text().splitlines():
            parts = re.match(r"([0-9a-f]+)-([0-9a-f]+) r(.)", line)
            if parts and "[v" not in line:  # not vvar and vsyscall
                found += self._count_in(int(parts[1], 16), int(parts[2], 16))
        return found

    def _count_in(self, start: int, end: int) -> int:
        found = 0
        room, size = address(self._room.view), len(self._seed)
        for at in range(start, end, BLOCK):
            wanted = min(BLOCK + size - 1, end - at)
            got = _libc.pread(self._memory, room, wanted, at)
            here = 0
            while got - here >= size:
                hit = _libc.memmem(room + here, got - here, address(self._seed.view), size)
                if hit is None:
                    break
                here = hit - room + 1
                real = at + hit - room
                found += not self._is_ours(real) and hit - room < BLOCK
        # What was read is not to be found in the next place.
        ctypes.memset(room, 0, len(self._room))
        return found

    def _is_ours(self, place: int) -> bool:
        room = address(self._room.view)
        return place == address(self._seed.view) or room <= place < room + len(self._room)


def new_key() -> tuple[Secret, PrivateEd25519]:
    seed = Secret.random(32)
    public = Ed25519PrivateKey.from_private_bytes(seed.view).public_key().public_bytes_raw()
    return seed, PrivateEd25519(keys.Ed25519(public), seed.view)


def in_memory(shield: Shield) -> dict[str, int]:
    seed, private = new_key()
    search = Searcher(seed)
    found = {"before": search.count()}
    store = MemoryStore(shield=shield)
    key = store.token.import_key(private, Handover("canary"), OPEN)
    found["added"] = search.count()
    for _ in range(3):
        store.token.sign(key, EdDsa(), MESSAGE)
    found["signed"] = search.count()
    shield.drop_idle()
    found["idle"] = search.count()
    store.token.sign(key, EdDsa(), MESSAGE)
    store.token.destroy(key)
    found["closed"] = search.count()
    return found


def on_disk(shield: Shield, folder: Path) -> dict[str, int]:
    seed, private = new_key()
    search = Searcher(seed)
    store = DiskStore(folder, shield=shield, cost=COST, floor=COST)
    with Secret.of(b"passphrase") as passphrase:
        store.make_token("main", 0, passphrase)
        token = store.tokens()[0]
        key = token.import_key(private, Handover("canary"), OPEN)
        found = {"added": search.count()}
        token.sign(key, EdDsa(), MESSAGE)
        key = token.rename(key, "renamed")
        token.backup(passphrase)
        token.sign(key, EdDsa(), MESSAGE)
        found["signed"] = search.count()
        shield.drop_idle()
        found["idle"] = search.count()
        token.sign(key, EdDsa(), MESSAGE)
        token.lock()
        found["locked"] = search.count()
        token.unlock(passphrase)
        token.sign(token.keys()[0], EdDsa(), MESSAGE)
        store.close()
    shield.drop_idle()
    found["closed"] = search.count()
    return found


def in_plain() -> dict[str, int]:
    """A copy in ordinary memory is found."""
    seed, _ = new_key()
    copy = bytes(seed.view)
    return {"held": Searcher(seed).count(), "size": len(copy)}


def main(folder: str) -> None:
    shield = Shield(idle=0)
    print(
        json.dumps(
            {
                "memory": in_memory(shield),
                "disk": on_disk(shield, Path(folder)),
                "plain": in_plain(),
            }
        )
    )
    shield.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
