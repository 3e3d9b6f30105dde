"""`keyholm module-path`, in a clone that has the module and in one that could not build it."""

from pathlib import Path

import pytest

from keyholm.cli.main import main
from keyholm.cli.module_file import FOLDER, NAME
from keyholm.cli.module_path import module_path
from keyholm.core.errors import NotFound
from native import build


def test_the_build_puts_the_module_where_the_command_looks() -> None:
    assert str(build.PLACE) == FOLDER
    assert build.file_here() == NAME


def test_a_module_that_is_there_is_found(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    assert module_path(str(tmp_path)) == str(tmp_path / NAME)


def test_without_a_module_the_way_to_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        module_path(str(tmp_path))
    assert str(tmp_path) in str(missing.value)
    assert "dev.py setup" in missing.value.remedy


def test_the_command_prints_a_path_or_why_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["module-path"])
    printed = capsys.readouterr()
    if (Path(FOLDER) / NAME).is_file():
        assert (status, printed.out) == (0, f"{FOLDER}/{NAME}\n")
    else:
        assert status != 0
        assert "was not built" in printed.err
