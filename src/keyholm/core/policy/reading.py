"""Values of a policy, from what TOML gives; each error says where it is."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeVar

from keyholm.core.caller import Door
from keyholm.core.destination import Destination, Hop, HopKey
from keyholm.core.errors import BadPolicy
from keyholm.core.mechanisms import Verb, spellings
from keyholm.core.policy import hours as hours_of
from keyholm.core.policy.hours import Hours
from keyholm.core.policy.model import CallerRule, Confirm, Rate

T = TypeVar("T")
MAX_ITEMS: Final = 1024
MAX_STRING: Final = 4096
MAX_RATE: Final = 1000  # uses that are remembered, and to spare
OPERATIONS: Final = frozenset(map(str, Verb))
MECHANISMS: Final = spellings()
_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_CONFIRM: Final = re.compile(r"([1-9][0-9]{0,3})m")
_VENDOR: Final = re.compile(r"vendor-0x[0-9a-f]{1,16}")
# Within these, every time zone can say what a moment is called.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)


def known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    names = tuple(names)
    for name in table:
        if name not in names:
            raise _unknown("field", name, names, where)


def _unknown(what: str, name: str, names: Iterable[str], where: str) -> BadPolicy:
    near = difflib.get_close_matches(name, names, 1)
    remedy = f"Did you mean `{near[0]}`?" if near else f"Known are {', '.join(sorted(names))}."
    shown = name if name.isprintable() and len(name) <= 64 else ascii(name[:64])
    return BadPolicy(f"{where} has an unknown {what} `{shown}`.", remedy=remedy)


def _expected(what: str, where: str) -> BadPolicy:
    return BadPolicy(f"{where} should be {what}.")


def _empty(where: str) -> BadPolicy:
    # An empty list reads like "nothing", and would mean "everything".
    return BadPolicy(f"{where} is empty.", remedy="Leave it out, or name what is allowed.")


# --- kinds of values -----------------------------------------------------------------


def table(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _expected("a table", where)
    return given


def flag(given: Any, where: str) -> bool:
    if not isinstance(given, bool):
        raise _expected("true or false", where)
    return given


def count(given: Any, where: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < 2**32:
        raise _expected("a whole number", where)
    return given


def items(given: Any, where: str, item: Callable[[Any, str], T]) -> tuple[T, ...]:
    if not isinstance(given, list) or len(given) > MAX_ITEMS:
        raise _expected("a list", where)
    if not given:
        raise _empty(where)
    return tuple(item(each, f"{where}[{number}]") for number, each in enumerate(given))


def _text(given: Any, where: str) -> str:
    if not isinstance(given, str) or not given or len(given) > MAX_STRING:
        raise _expected("a text", where)
    if not given.isprintable():
        raise BadPolicy(f"{where} holds a character that cannot be shown.")
    return given


def names(given: Any, where: str) -> frozenset[str]:
    return frozenset(items(given, where, _text))


# --- fields --------------------------------------------------------------------------


def doors(given: Any, where: str) -> frozenset[Door]:
    found = names(given, where)
    for name in found:
        if name not in set(Door):
            raise _unknown("door", name, tuple(Door), where)
    return frozenset(map(Door, found))


def operations(given: Any, where: str) -> frozenset[str]:
    found = names(given, where)
    for name in found - OPERATIONS:
        raise _unknown("operation", name, OPERATIONS, where)
    return found


def mechanisms(given: Any, where: str) -> frozenset[str]:
    found = names(given, where)
    for name in found - MECHANISMS:
        if not _VENDOR.fullmatch(name):
            raise _unknown("mechanism", name, MECHANISMS, where)
    return found


_RULE: Final[dict[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "uid": ("uid", count),
    "exe": ("executable", _text),
    "unit": ("unit", _text),
    "forwarded": ("forwarded", flag),
}


def rules(given: Any, where: str) -> tuple[CallerRule, ...]:
    return items(given, where, _rule)


def _rule(given: Any, where: str) -> CallerRule:
    fields = table(given, where)
    known(fields, _RULE, where)
    if not fields:
        raise BadPolicy(f"{where} names nobody.")
    values = {
        _RULE[name][0]: _RULE[name][1](value, f"{where}.{name}") for name, value in fields.items()
    }
    rule = CallerRule(**values)
    if rule.executable and not rule.executable.startswith("/"):
        raise _expected("an absolute path", f"{where}.exe")
    if rule.executable and rule.forwarded:
        raise BadPolicy(
            f"{where} matches nobody: a program is told apart on direct connections only.",
            remedy="Leave out `exe` or `forwarded`.",
        )
    return rule


def destinations(given: Any, where: str) -> tuple[Destination, ...]:
    return items(given, where, _destination)


def _destination(given: Any, where: str) -> Destination:
    fields = table(given, where)
    known(fields, ("host", "user", "keys", "ca", "through"), where)
    origin = Hop()
    if "through" in fields:
        through = table(fields["through"], f"{where}.through")
        known(through, ("host", "keys", "ca"), f"{where}.through")
        origin = _hop(through, f"{where}.through")
    user = _text(fields["user"], f"{where}.user") if "user" in fields else ""
    return Destination(_hop(fields, where), user, origin)


def _hop(fields: Mapping[str, Any], where: str) -> Hop:
    keys = [
        HopKey(fingerprint, is_ca=name == "ca")
        for name in ("keys", "ca")
        if name in fields
        for fingerprint in items(fields[name], f"{where}.{name}", _fingerprint)
    ]
    if not keys:
        raise BadPolicy(
            f"{where} names no host key.",
            remedy="`keyholm policy edit` fills in the keys of `host` from known_hosts.",
        )
    return Hop(_text(fields.get("host"), f"{where}.host"), tuple(keys))


def _fingerprint(given: Any, where: str) -> str:
    text = _text(given, where)
    if not _FINGERPRINT.fullmatch(text):
        raise _expected("a fingerprint, as `ssh-keygen -l` shows it (SHA256:...)", where)
    return text


def confirm(given: Any, where: str) -> Confirm:
    text = _text(given, where)
    if text in ("never", "each"):
        return Confirm(asked=text == "each")
    found = _CONFIRM.fullmatch(text)
    if not found:
        raise _expected('"never", "each" or minutes for a program, as in "15m"', where)
    return Confirm(asked=True, minutes=int(found[1]))


def rate(given: Any, where: str) -> Rate:
    fields = table(given, where)
    known(fields, ("per_minute", "burst"), where)
    per_minute = count(fields.get("per_minute"), f"{where}.per_minute")
    burst = count(fields.get("burst", per_minute), f"{where}.burst")
    if not 0 < burst <= per_minute <= MAX_RATE:
        raise BadPolicy(
            f"{where} does not make sense.",
            remedy=f"per_minute is 1 to {MAX_RATE}, burst at most as many.",
        )
    return Rate(per_minute, burst)


def hours(given: Any, where: str) -> Hours:
    found = hours_of.parse(_text(given, where))
    if found is None:
        raise _expected('hours, as in "Mon-Fri 07:00-20:00 Europe/Berlin"', where)
    if hours_of.zone_called(found.zone) is None:
        raise BadPolicy(
            f"{where}: this machine knows no time zone {found.zone}.",
            remedy="`timedatectl list-timezones` lists them; they are in Debian's tzdata.",
        )
    return found


def expires(given: Any, where: str) -> float:
    """A date is its first moment in UTC; so is a time without a zone."""
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            raise _expected("a date", where) from None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if not isinstance(moment, datetime):
        raise _expected("a date", where)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not _FIRST <= moment < _LAST:
        raise _expected("a date between 1970 and 9998", where)
    return moment.timestamp()
