"""What the PKCS#11 door pays for many objects: time to find one, and memory for each.

    python3 dev.py bench objects [100 10000 100000]

The numbers are of key pairs, two objects each, P-256. Memory is what Python allocates (tracemalloc);
`key` is what the core keeps of a key anyway, and `view` what the door adds before anybody searches.
An index is made by the first search for its attribute, and its cost is told by itself.
"""

import argparse
import gc
import hashlib
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.doors.pkcs11.view import View
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKO
from keyholm.wire.ssh import keys

SIZES = (100, 10_000, 100_000)
TIMES = 2001
PRIVATE_KEYS: Template = ((CKA.CLASS, CKO.PRIVATE_KEY), (CKA.TOKEN, True))


@dataclass(frozen=True, slots=True)
class NoToken:
    """All that a view asks of a token is what it is called."""

    store: str = "disk"
    name: str = "main"
    label: str = "main"
    owner: int = 0
    accepted_uids: frozenset[int] = frozenset()

    def keys(self) -> Sequence[Key]:
        return ()


def key(number: int) -> Key:
    point = b"\4" + hashlib.sha512(b"%d" % number).digest()
    return Key(
        KeyId(hashlib.sha256(point).hexdigest()),
        Place("disk", "main", f"{number:016x}"),
        keys.Ecdsa(keys.Curve.NISTP256, point),
        b"",
        f"key {number}",
        Origin.GENERATED,
    )


def microseconds(run: Callable[[], object], times: int = 1) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e6


def times_of(pairs: int) -> dict[str, str]:
    held = [key(number) for number in range(pairs)]
    wanted = held[pairs // 2]
    by_id: Template = ((CKA.ID, bytes.fromhex(wanted.id)[:20]),)
    one: Template = (*by_id, (CKA.CLASS, CKO.PRIVATE_KEY))
    made = microseconds(lambda: View(NoToken(), held), 5)
    view = View(NoToken(), held)
    first = microseconds(lambda: view.find(by_id))
    view.find(one)
    found = view.find(PRIVATE_KEYS)
    listing = microseconds(lambda: [(s.value(CKA.ID), s.value(CKA.LABEL)) for s in found], 5)
    changed = replace(wanted, label="another")
    return {
        "make the view": f"{made / 1000:.1f} ms",
        "first search by id": f"{first / 1000:.1f} ms",
        "find by id": f"{microseconds(lambda: view.find(by_id), TIMES):.2f} us",
        "find by id and class": f"{microseconds(lambda: view.find(one), TIMES):.2f} us",
        "find nothing by id": f"{microseconds(lambda: view.find(((CKA.ID, b'x'),)), TIMES):.2f} us",
        "all private keys": f"{microseconds(lambda: view.find(PRIVATE_KEYS), 21) / 1000:.2f} ms",
        "id and label of each": f"{listing / len(found):.2f} us",
        "follow one change": f"{microseconds(lambda: view.change(wanted, changed)):.0f} us",
    }


def memory_of(pairs: int) -> dict[str, str]:
    """Bytes per object, of which there are two in each pair."""
    objects = 2 * pairs
    tracemalloc.start()
    told: dict[str, str] = {}
    before = 0

    def tell(what: str) -> None:
        nonlocal before
        gc.collect()
        now, _ = tracemalloc.get_traced_memory()
        told[what] = f"{(now - before) / objects:.0f} B"
        before = now

    held = [key(number) for number in range(pairs)]
    tell("memory: key")
    view = View(NoToken(), held)
    tell("memory: view")
    for name, cka in (("id", CKA.ID), ("label", CKA.LABEL), ("class", CKA.CLASS)):
        view.find(((cka, b"?"),))
        tell(f"memory: index by {name}")
    tracemalloc.stop()
    return told


def table(columns: dict[int, dict[str, str]]) -> str:
    sizes = list(columns)
    head = f"{'key pairs':<24}" + "".join(f"{size:>14,}" for size in sizes)
    rows = (
        f"{row:<24}" + "".join(f"{columns[size][row]:>14}" for size in sizes)
        for row in columns[sizes[0]]
    )
    return "\n".join((head, *rows))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, metavar="KEY-PAIRS")
    sizes = parser.parse_args(arguments).sizes
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    print(table({size: {**times_of(size), **memory_of(size)} for size in sizes}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
