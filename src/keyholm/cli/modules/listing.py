"""The modules as `keyholm module list` shows them: what the files say of each."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from keyholm.cli.output import printable, table
from keyholm.core.errors import BadConfiguration
from keyholm.daemon import module_files
from keyholm.daemon.module_files import Modules, ModuleSettings


class Line(NamedTuple):
    name: str
    file: str
    state: str
    library: str = ""
    error: str = ""
    remedy: str = ""


def lines_of(folder: Path, modules: Modules) -> list[Line]:
    found = [_line(name, folder, settings) for name, settings in modules.good.items()]
    return found + list(_bad(folder, modules))


def _line(name: str, folder: Path, settings: ModuleSettings) -> Line:
    file = str(folder / f"{name}{module_files.SUFFIX}")
    if not settings.enabled:
        return Line(name, file, "off", settings.path)
    try:
        module_files.check_library(name, settings)
    except BadConfiguration as error:
        return Line(name, file, "wrong", settings.path, error.what, error.remedy)
    return Line(name, file, "ready", settings.path)


def _bad(folder: Path, modules: Modules) -> Iterator[Line]:
    for name, error in modules.bad.items():
        file = str(folder / f"{name}{module_files.SUFFIX}")
        yield Line(name, file, "wrong", "", error.what, error.remedy)


def shown(lines: Sequence[Line]) -> str:
    rows = [(line.name, line.state, line.library or "-") for line in lines]
    wrong = [f"{printable(line.error)}\n  do: {line.remedy}\n" for line in lines if line.error]
    return table(("NAME", "STATE", "LIBRARY"), rows) + "".join(wrong)
