"""What a check finds, and what it looks at."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keyholm.cli.output import Style, printable
from keyholm.core.errors import KeyholmError

if TYPE_CHECKING:
    from keyholm.daemon.places import Places

GOOD: Final = "good"
WARNING: Final = "warning"  # it works, but not as it should
BAD: Final = "bad"


class Finding(NamedTuple):
    level: str
    check: str
    what: str
    why: str = ""
    remedy: str = ""  # a command, as far as one helps
    status: int = 0  # with which doctor exits when nothing worse was found before


class Patient(NamedTuple):
    """Where the checks look. `status` and `keys` are the daemon's own words, if it has any."""

    places: "Places"
    environment: Mapping[str, str]
    status: Mapping[str, Any] | None
    keys: tuple[Mapping[str, Any], ...]
    trouble: KeyholmError | None  # why there is no status
    asks: bool  # whether a human may be asked, to see if that works
    now: float


Check = Callable[[Patient], Iterator[Finding]]


def shown(finding: Finding) -> str:
    """As a person reads it."""
    style = Style(sys.stdout)
    mark = {GOOD: style.good("ok  "), WARNING: style.warning("warn"), BAD: style.bad("BAD ")}
    lines = [f"{mark[finding.level]}  {style.strong(finding.check)}: {printable(finding.what)}"]
    lines += [f"      why: {printable(finding.why)}"] if finding.why else []
    lines += [f"       do: {printable(finding.remedy)}"] if finding.remedy else []
    return "\n".join(lines) + "\n"
