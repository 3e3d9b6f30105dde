"""Stores whose passphrases cost nothing to try, for tests only."""

from pathlib import Path
from typing import Any

from keyholm.stores.disk.cost import Cost
from keyholm.stores.disk.store import DiskStore

COST = Cost(1, 64, 1)


def disk_store(place: Path, **settings: Any) -> DiskStore:
    return DiskStore(place, cost=COST, floor=COST, **settings)
