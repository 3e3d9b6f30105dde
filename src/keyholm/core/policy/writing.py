"""Values of a policy as TOML, in one canonical form; None where there is nothing to say."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from keyholm.core.destination import Destination, Hop
from keyholm.core.policy.hours import Hours
from keyholm.core.policy.model import CallerRule, Confirm, Rate


def quoted(text: str) -> str:
    # A JSON string is a basic string of TOML, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def array(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def inline(pairs: Iterable[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{name} = {value}' for name, value in pairs)}}}"


def flag(value: bool) -> str | None:
    return "true" if value else None


def count(value: int) -> str | None:
    return str(value) if value else None


def names(names: frozenset[str] | None) -> str | None:
    return array(map(quoted, sorted(names))) if names else None


def rules(rules: tuple[CallerRule, ...]) -> str | None:
    return array(map(_rule, rules)) if rules else None


def _rule(rule: CallerRule) -> str:
    pairs = []
    if rule.uid is not None:
        pairs.append(("uid", str(rule.uid)))
    if rule.executable:
        pairs.append(("exe", quoted(rule.executable)))
    if rule.unit:
        pairs.append(("unit", quoted(rule.unit)))
    if rule.forwarded is not None:
        pairs.append(("forwarded", str(rule.forwarded).lower()))
    return inline(pairs)


def destinations(destinations: tuple[Destination, ...]) -> str | None:
    return array(map(_destination, destinations)) if destinations else None


def _destination(destination: Destination) -> str:
    pairs = _hop(destination.target)
    if destination.user:
        pairs.insert(1, ("user", quoted(destination.user)))
    if destination.origin.keys:
        pairs.append(("through", inline(_hop(destination.origin))))
    return inline(pairs)


def _hop(hop: Hop) -> list[tuple[str, str]]:
    pairs = [("host", quoted(hop.host))]
    for name, is_ca in (("keys", False), ("ca", True)):
        found = [quoted(key.fingerprint) for key in hop.keys if key.is_ca is is_ca]
        if found:
            pairs.append((name, array(found)))
    return pairs


def hours(hours: Hours | None) -> str | None:
    return None if hours is None else quoted(str(hours))


def expires(expires: float | None) -> str | None:
    return None if expires is None else quoted(datetime.fromtimestamp(expires, UTC).isoformat())


def confirm(confirm: Confirm) -> str | None:
    if not confirm.asked:
        return None
    return quoted(f"{confirm.minutes}m" if confirm.minutes else "each")


def rate(rate: Rate | None) -> str | None:
    if rate is None:
        return None
    return inline((("per_minute", str(rate.per_minute)), ("burst", str(rate.burst))))
