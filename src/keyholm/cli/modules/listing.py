"""The modules as `keyholm module list` shows them: the daemon's own words, and the files' without it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from keyholm.cli.output import printable, table
from keyholm.client import connect
from keyholm.core.errors import BadConfiguration, DaemonNotRunning
from keyholm.daemon import module_files
from keyholm.daemon.module_files import Modules, ModuleSettings

NO_DAEMON = "no daemon"


class Line(NamedTuple):
    name: str
    file: str
    state: str
    library: str = ""
    pid: int | None = None
    isolation: str = ""
    tokens: Sequence[str] = ()
    crashes: int = 0
    error: str = ""
    remedy: str = ""


def lines_of(folder: Path, modules: Modules) -> list[Line]:
    """A line for each file, in the order in which they count. Raises what the daemon raises."""
    running = of_daemon()
    found = [_line(name, folder, settings, running) for name, settings in modules.good.items()]
    return found + list(_bad(folder, modules))


def of_daemon() -> Mapping[str, Mapping[str, Any]] | None:
    """Each module as the daemon has it; None: there is no daemon."""
    with suppress(DaemonNotRunning), connect() as client:
        return {told["name"]: told for told in client.modules()}
    return None


def _line(
    name: str,
    folder: Path,
    settings: ModuleSettings,
    running: Mapping[str, Mapping[str, Any]] | None,
) -> Line:
    line = Line(name, str(folder / f"{name}{module_files.SUFFIX}"), NO_DAEMON, settings.path)
    if not settings.enabled:
        return line._replace(state="off")
    told = running.get(name) if running is not None else None
    if told is not None and told["state"] == "running":
        return line._replace(**told)
    try:
        module_files.check_library(name, settings)
    except BadConfiguration as error:
        return line._replace(state="wrong", error=error.what, remedy=error.remedy)
    if told is not None:
        return line._replace(**told)
    if running is None:
        return line
    what = f"The daemon has not read the file of module {name} yet."
    return line._replace(state="not read", error=what, remedy="Send SIGHUP to `keyholm serve`.")


def _bad(folder: Path, modules: Modules) -> Iterator[Line]:
    for name, error in modules.bad.items():
        file = str(folder / f"{name}{module_files.SUFFIX}")
        yield Line(name, file, "wrong", error=error.what, remedy=error.remedy)


def shown(lines: Sequence[Line]) -> str:
    if any(line.state not in (NO_DAEMON, "off", "wrong") for line in lines):
        heads: tuple[str, ...] = ("NAME", "STATE", "PROCESS", "ISOLATION", "CRASHES", "TOKENS")
        rows = [_row(line) for line in lines]
    else:
        heads = ("NAME", "STATE", "LIBRARY")
        rows = [(line.name, line.state, line.library or "-") for line in lines]
    wrong = [_error(line) for line in lines if line.error]
    return table(heads, rows) + "".join(wrong)


def _row(line: Line) -> tuple[str, ...]:
    return (
        line.name,
        line.state,
        "-" if line.pid is None else str(line.pid),
        line.isolation or "-",
        str(line.crashes),
        ", ".join(line.tokens) or "-",
    )


def _error(line: Line) -> str:
    remedy = f"  do: {printable(line.remedy)}\n" if line.remedy else ""
    return f"{printable(line.error)}\n{remedy}"
