"""A policy as TOML: read with every unknown field refused, written in one canonical form.

The hash of the canonical form is bound into the key's file and into the trail.
"""

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from keyholm.core.caller import Door
from keyholm.core.destination import Destination, Hop, HopKey
from keyholm.core.errors import BadPolicy
from keyholm.core.policy.model import (
    MINUTES_OF_DAY,
    CallerRule,
    Confirm,
    Hours,
    Policy,
    Rate,
)

T = TypeVar("T")
MAX_TEXT: Final = 64 * 1024
MAX_ITEMS: Final = 1024
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
HOURS: Final = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
CONFIRM: Final = re.compile(r"(\d{1,4})m")


def parse(text: str) -> Policy:
    """Raises `BadPolicy`, which says where."""
    if len(text) > MAX_TEXT:
        raise BadPolicy(f"A policy has at most {MAX_TEXT >> 10} KiB.")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(f"The policy is not TOML: {error}.") from error
    return _policy(table, "policy")


def write(policy: Policy) -> str:
    """The canonical text; empty where everything is allowed."""
    lines = [
        f"{name} = {written}"
        for name, field in _FIELDS.items()
        if (written := field.write(getattr(policy, field.attribute))) is not None
    ]
    text = "".join(f"{line}\n" for line in lines)
    return text + "".join(f"\n[[also]]\n{write(part)}" for part in policy.also)


def policy_hash(policy: Policy) -> str:
    """SHA-256 of the canonical text, hexadecimal."""
    return hashlib.sha256(write(policy).encode()).hexdigest()


def _policy(table: Mapping[str, Any], where: str) -> Policy:
    values: dict[str, Any] = {}
    _known(table, (*_FIELDS, "also"), where)
    for name, given in table.items():
        if name != "also":
            field = _FIELDS[name]
            values[field.attribute] = field.read(given, f"{where}.{name}")
    if "also" in table:
        values["also"] = _list(table["also"], f"{where}.also", _part)
    return Policy(**values)


def _part(given: Any, where: str) -> Policy:
    part = _policy(_table(given, where), where)
    if part.also:
        raise BadPolicy(f"{where}: a policy in `also` has none of its own.")
    return part


def _known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    known = tuple(names)
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known are {', '.join(known)}."
            raise BadPolicy(f"{where} has an unknown field `{name}`.", remedy=hint)


# --- reading -------------------------------------------------------------------------


def _expected(what: str, where: str) -> BadPolicy:
    return BadPolicy(f"{where} should be {what}.")


def _table(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _expected("a table", where)
    return given


def _text(given: Any, where: str) -> str:
    if not isinstance(given, str) or not given or not given.isprintable() or len(given) > 4096:
        raise _expected("a text", where)
    return given


def _flag(given: Any, where: str) -> bool:
    if not isinstance(given, bool):
        raise _expected("true or false", where)
    return given


def _count(given: Any, where: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < 2**32:
        raise _expected("a whole number", where)
    return given


def _list(given: Any, where: str, item: Callable[[Any, str], T]) -> tuple[T, ...]:
    if not isinstance(given, list) or len(given) > MAX_ITEMS:
        raise _expected("a list", where)
    return tuple(item(each, f"{where}[{number}]") for number, each in enumerate(given))


def _texts(given: Any, where: str) -> frozenset[str]:
    found = frozenset(_list(given, where, _text))
    if not found:
        # An empty list reads like "nothing", and would mean "everything".
        raise BadPolicy(f"{where} is empty.", remedy="Leave it out, or name what is allowed.")
    return found


def _some(item: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    def read(given: Any, where: str) -> tuple[T, ...]:
        found = _list(given, where, item)
        if not found:
            raise BadPolicy(f"{where} is empty.", remedy="Leave it out, or name what is allowed.")
        return found

    return read


def _doors(given: Any, where: str) -> frozenset[Door]:
    names = _texts(given, where)
    known = [door.value for door in Door]
    for name in names:
        if name not in known:
            raise BadPolicy(f"{where}: no door is called {name!r}.", remedy=f"{', '.join(known)}.")
    return frozenset(Door(name) for name in names)


_RULE: Final[dict[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "uid": ("uid", _count),
    "exe": ("executable", _text),
    "unit": ("unit", _text),
    "forwarded": ("forwarded", _flag),
}


def _rule(given: Any, where: str) -> CallerRule:
    table = _table(given, where)
    _known(table, _RULE, where)
    if not table:
        raise BadPolicy(f"{where} names nobody.")
    values = {
        _RULE[name][0]: _RULE[name][1](value, f"{where}.{name}") for name, value in table.items()
    }
    rule = CallerRule(**values)
    if rule.executable and not rule.executable.startswith("/"):
        raise BadPolicy(f"{where}.exe should be an absolute path.")
    return rule


def _fingerprint(given: Any, where: str) -> str:
    text = _text(given, where)
    if not FINGERPRINT.fullmatch(text):
        raise _expected("a fingerprint, SHA256:...", where)
    return text


def _hop(table: Mapping[str, Any], where: str) -> Hop:
    found = [
        HopKey(fingerprint, is_ca=name == "ca")
        for name in ("keys", "ca")
        for fingerprint in _list(table.get(name, []), f"{where}.{name}", _fingerprint)
    ]
    if not found:
        raise BadPolicy(
            f"{where} names no host key.",
            remedy="`keyholm policy set --destination HOST` fills in the keys from known_hosts.",
        )
    return Hop(_text(table.get("host", ""), f"{where}.host"), tuple(found))


def _destination(given: Any, where: str) -> Destination:
    table = _table(given, where)
    _known(table, ("host", "user", "keys", "ca", "through"), where)
    origin = Hop()
    if "through" in table:
        through = _table(table["through"], f"{where}.through")
        _known(through, ("host", "keys", "ca"), f"{where}.through")
        origin = _hop(through, f"{where}.through")
    user = _text(table["user"], f"{where}.user") if "user" in table else ""
    return Destination(_hop(table, where), user, origin)


def _confirm(given: Any, where: str) -> Confirm:
    text = _text(given, where)
    if text in ("never", "each"):
        return Confirm(asked=text == "each")
    found = CONFIRM.fullmatch(text)
    if not found or not int(found[1]):
        raise _expected('"never", "each" or minutes for a program, as in "15m"', where)
    return Confirm(asked=True, minutes=int(found[1]))


def _rate(given: Any, where: str) -> Rate:
    table = _table(given, where)
    _known(table, ("per_minute", "burst"), where)
    per_minute = _count(table.get("per_minute"), f"{where}.per_minute")
    burst = _count(table.get("burst", per_minute), f"{where}.burst")
    if not 0 < per_minute <= 100_000 or not 0 < burst <= 1000:
        raise BadPolicy(f"{where}: per_minute is 1 to 100000, burst 1 to 1000.")
    return Rate(per_minute, burst)


def _hours(given: Any, where: str) -> Hours:
    found = HOURS.fullmatch(_text(given, where))
    wanted = _expected('hours as in "Mon-Fri 07:00-20:00 Europe/Berlin"', where)
    if not found or found[1] not in DAYS or (found[2] or found[1]) not in DAYS:
        raise wanted
    first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    start, end = (60 * int(found[at]) + int(found[at + 1]) for at in (3, 5))
    if start >= MINUTES_OF_DAY or end > MINUTES_OF_DAY or int(found[4]) > 59 or int(found[6]) > 59:
        raise wanted
    try:
        ZoneInfo(found[7])
    except (ValueError, OSError, KeyError) as error:
        raise BadPolicy(f"{where}: there is no time zone {found[7]!r}.") from error
    return Hours(days, start, end if end > start else end + MINUTES_OF_DAY, found[7])


def _expires(given: Any, where: str) -> float:
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise _expected("a date", where) from None
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    if not isinstance(given, datetime):
        raise _expected("a date", where)
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()


# --- writing -------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _array(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _inline(pairs: Iterable[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{name} = {value}' for name, value in pairs)}}}"


def _write_names(names: frozenset[str] | None) -> str | None:
    return _array(map(_quoted, sorted(names))) if names else None


def _write_rules(rules: tuple[CallerRule, ...]) -> str | None:
    return _array(map(_write_rule, rules)) if rules else None


def _write_rule(rule: CallerRule) -> str:
    pairs = []
    if rule.uid is not None:
        pairs.append(("uid", str(rule.uid)))
    if rule.executable:
        pairs.append(("exe", _quoted(rule.executable)))
    if rule.unit:
        pairs.append(("unit", _quoted(rule.unit)))
    if rule.forwarded is not None:
        pairs.append(("forwarded", str(rule.forwarded).lower()))
    return _inline(pairs)


def _write_destinations(destinations: tuple[Destination, ...]) -> str | None:
    return _array(map(_write_destination, destinations)) if destinations else None


def _write_destination(destination: Destination) -> str:
    pairs = _hop_pairs(destination.target)
    if destination.user:
        pairs.insert(1, ("user", _quoted(destination.user)))
    if destination.origin.keys:
        pairs.append(("through", _inline(_hop_pairs(destination.origin))))
    return _inline(pairs)


def _hop_pairs(hop: Hop) -> list[tuple[str, str]]:
    pairs = [("host", _quoted(hop.host))]
    for name, is_ca in (("keys", False), ("ca", True)):
        found = [_quoted(key.fingerprint) for key in hop.keys if key.is_ca is is_ca]
        if found:
            pairs.append((name, _array(found)))
    return pairs


def _write_hours(hours: Hours | None) -> str | None:
    if hours is None:
        return None
    first = next(day for day in sorted(hours.days) if (day - 1) % 7 not in hours.days or day == 0)
    if len(hours.days) < 7:
        first = next(day for day in sorted(hours.days) if (day - 1) % 7 not in hours.days)
    last = (first + len(hours.days) - 1) % 7
    end = hours.end - MINUTES_OF_DAY if hours.end > MINUTES_OF_DAY else hours.end
    days = DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"
    return _quoted(
        f"{days} {hours.start // 60:02}:{hours.start % 60:02}-{end // 60:02}:{end % 60:02}"
        f" {hours.zone}"
    )


def _write_expires(expires: float | None) -> str | None:
    return None if expires is None else _quoted(datetime.fromtimestamp(expires, UTC).isoformat())


def _write_confirm(confirm: Confirm) -> str | None:
    if not confirm.asked:
        return None
    return _quoted(f"{confirm.minutes}m" if confirm.minutes else "each")


def _write_rate(rate: Rate | None) -> str | None:
    if rate is None:
        return None
    return _inline((("per_minute", str(rate.per_minute)), ("burst", str(rate.burst))))


class _Field:
    """One line of a policy: what it is called here, and both directions."""

    def __init__(
        self,
        attribute: str,
        read: Callable[[Any, str], Any],
        write: Callable[[Any], str | None],
    ) -> None:
        self.attribute, self.read, self.write = attribute, read, write


_FIELDS: Final[dict[str, _Field]] = {
    "allow": _Field("allow", _some(_rule), _write_rules),
    "deny": _Field("deny", _some(_rule), _write_rules),
    "doors": _Field("doors", _doors, _write_names),
    "operations": _Field("operations", _texts, _write_names),
    "mechanisms": _Field("mechanisms", _texts, _write_names),
    "namespaces": _Field("namespaces", _texts, _write_names),
    "destinations": _Field("destinations", _some(_destination), _write_destinations),
    "readable": _Field("readable", _flag, lambda value: "true" if value else None),
    "hours": _Field("hours", _hours, _write_hours),
    "expires": _Field("expires", _expires, _write_expires),
    "max_uses": _Field("max_uses", _count, lambda value: str(value) if value else None),
    "rate": _Field("rate", _rate, _write_rate),
    "confirm": _Field("confirm", _confirm, _write_confirm),
}
