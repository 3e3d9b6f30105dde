"""The torture module, built here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from native.build import NoCompiler
from tests.torture import build
from tests.torture.rig import Torture


@pytest.fixture(scope="session")
def torture_module() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kh-torture-") as folder:
        try:
            made = build.module(Path(folder))
        except NoCompiler as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture
def torture(torture_module: Path, tmp_path: Path) -> Torture:
    return Torture.make(torture_module, tmp_path / "torture")
