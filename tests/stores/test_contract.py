"""Both stores of software keys, held to the contract that is shipped."""

from pathlib import Path

import pytest
from tests.stores.cheap import disk_store

from keyholm.core.store import Store
from keyholm.stores.memory.store import MemoryStore
from keyholm.testing.store_contract import StoreContract


class TestMemory(StoreContract):
    def open(self) -> Store:
        return MemoryStore()


class TestDisk(StoreContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "store"

    def open(self) -> Store:
        return disk_store(self.folder)
