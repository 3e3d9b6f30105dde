"""One line for each record of the trail, as people read it."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.output import Style, when

if TYPE_CHECKING:
    from keyholm.core.audit.reading import Entry

HEADS: Final = ("RECORD", "TIME", "WHAT", "KEY", "BY", "RESULT", "ABOUT")
WIDTHS: Final = (12, 19, 14, 16, 20, 8, 60)  # while following, when no table can be laid out
RESULT: Final = HEADS.index("RESULT")
MICRO: Final = 1e6
SHORT_ID: Final = 12


def row(entry: "Entry", names: dict[str, str]) -> tuple[str, ...]:
    what = _LIFE.get(entry.event)
    if what is not None:
        name, about = what
        who, result = "keyholm", ""
        text = about(entry.fields)
    else:
        name = str(entry.get("op") or entry.get("action") or entry.event)
        who, result, text = _who(entry), _result(entry), _about(entry)
    key = str(entry.fields.get("key") or entry.intent.get("key") or "")
    return (
        f"{entry.trail}/{entry.seq}",
        when(entry.time / MICRO),
        name,
        names.get(key, key[:SHORT_ID]),
        who,
        result,
        text,
    )


def colour() -> Callable[[int, str], str]:
    """Only the result has a colour: what went wrong shall be seen."""
    style = Style(sys.stdout)
    paint = {"ok": style.good, "refused": style.bad, "failed": style.warning}

    def painted(column: int, text: str) -> str:
        return paint.get(text, str)(text) if column == RESULT else text

    return painted


def _result(entry: "Entry") -> str:
    if entry.event == "refused":
        return "refused"
    if entry.event == "session":
        return ""
    return str(entry.fields.get("result", "ok"))


def _who(entry: "Entry") -> str:
    who = entry.fields if entry.event == "session" else entry.session
    if not who:
        uid = entry.fields.get("uid")
        return "" if uid is None else f"uid {uid}"
    program = str(who.get("exe") or who.get("command") or f"uid {who.get('uid')}")
    return program if who.get("via") == "direct" else f"{program} ({who.get('via')})"


def _about(entry: "Entry") -> str:
    if what := entry.fields.get("what"):
        return _counted(f"{entry.fields.get('error', '')}: {what}", entry.fields)
    if entry.event == "session":
        return f"door {entry.fields['door']}, process {entry.fields['pid']}"
    parts = [_purpose(entry), _destination(entry.get("destination") or {})]
    if target := entry.get("target"):
        parts.append(str(target))
    detail = entry.get("detail") or {}
    parts += [f"{name} {value}" for name, value in detail.items() if name != "policy"]
    if consent := entry.get("consent"):
        parts.append(f"agreed by {consent}")
    return _counted(", ".join(filter(None, parts)), entry.fields)


def _counted(text: str, fields: dict[str, Any]) -> str:
    count = fields.get("suppressed")
    return f"{text} (and {count} more refusals)" if count else text


def _purpose(entry: "Entry") -> str:
    match entry.get("purpose"):
        case "ssh-userauth":
            return f"log in as {entry.get('user')}"
        case "sshsig":
            return f"signature for {entry.get('namespace')}"
        case None | "":
            return ""
        case other:
            return str(other)


def _destination(destination: dict[str, Any]) -> str:
    if not destination:
        return ""
    host = destination.get("host") or destination.get("host_key", "")
    return f"on {host}" + (" through a forwarded agent" if destination.get("forwarding") else "")


_LIFE: Final[dict[str, tuple[str, Callable[[dict[str, Any]], str]]]] = {
    "opened": ("start", lambda f: f"{f['version']} on {f['host']}, before it: {f['previous']}"),
    "closed": ("stop", lambda f: str(f["reason"])),
    "segment": ("segment", lambda f: ""),
    "tail.lost": (
        "tail lost",
        lambda f: f"the machine went down: up to {f['within']} ms of records may be missing",
    ),
    "recovered": ("recovered", lambda f: f"{f['length']} bytes that are no record: {f['file']}"),
    "pruned": ("pruned", lambda f: f"records before {f['first']} were deleted"),
    "witness": ("witness", lambda f: str(f.get("what") or "takes checkpoints again")),
}
"""The trail's own events: what they are called, and what they say."""
