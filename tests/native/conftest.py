"""The module, built here and loaded into this process, and a daemon in miniature for it.

With KEYHOLM_TEST_MODULE the same tests run against another build of it (test_sanitizers.py).
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.native.driver import Module
from tests.native.fake_daemon import SLOT, FakeDaemon

from native import build


@pytest.fixture(scope="session")
def built() -> Path:
    """Without a single warning."""
    if named := os.environ.get("KEYHOLM_TEST_MODULE"):
        return Path(named)
    folder = Path(tempfile.mkdtemp(prefix="kh-native-"))
    try:
        return build.build(folder / f"{build.NAME}.so", more=("-O2", "-Werror"))
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


@pytest.fixture(scope="session")
def loaded(built: Path) -> Module:
    """Once a process: the library cannot be unloaded."""
    return Module(built)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "pkcs11"
    monkeypatch.setenv("KEYHOLM_PKCS11", str(path))
    monkeypatch.delenv("KEYHOLM_VERBOSE", raising=False)
    return path


@pytest.fixture
def daemon(place: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(place) as running:
        yield running


@pytest.fixture
def module(loaded: Module, place: Path) -> Iterator[Module]:
    loaded.initialize()
    yield loaded
    loaded.Finalize(None)


@pytest.fixture
def session(module: Module, daemon: FakeDaemon) -> int:
    return module.open_session(SLOT)
