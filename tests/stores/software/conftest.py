import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.native.through import standing
from tests.stores.software.published import Doing, Software

from native import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build.build(tmp_path_factory.mktemp("module") / build.file_here())
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


@pytest.fixture(scope="module", params=["software", "module"])
def doing(request: pytest.FixtureRequest) -> Iterator[Doing]:
    """The store's software alone, and the way of a program to it: module, door, gate, store."""
    if request.param == "software":
        yield Software()
        return
    built: Path = request.getfixturevalue("built")
    with (
        tempfile.TemporaryDirectory(prefix="kh", dir="/tmp") as folder,
        standing(built, Path(folder)) as through,
    ):
        yield through
