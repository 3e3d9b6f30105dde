"""How two policies compare, and the strictest of both."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from keyholm.core.policy.model import OPEN, Confirm, Policy, Rate


def tighten(one: Policy, other: Policy) -> Policy:
    """A policy that allows just what both allow: they must agree."""
    if other in (OPEN, one):
        return one
    if one == OPEN:
        return other
    base = replace(one, also=())
    rest = (*one.also, *(replace(part, also=()) for part in other.parts))
    also = tuple(dict.fromkeys(part for part in rest if part not in (base, OPEN)))
    return replace(base, also=also)


def loosens(new: Policy, old: Policy) -> list[str]:
    """Which fields of `new` may allow something that `old` did not. Not sure counts as yes."""
    if new == old:
        return []
    loose = [
        name
        for name, is_stricter in _STRICTER.items()
        if not is_stricter(getattr(new, name), getattr(old, name))
    ]
    if not set(old.also) <= set(new.also):
        loose.append("also")
    if old.namespaces or old.destinations:
        # Both together allow what is in either: compare them as a pair.
        same = (new.namespaces, new.destinations) == (old.namespaces, old.destinations)
        if not same and "namespaces" not in loose:
            loose.append("namespaces")
    return loose


def _fewer(new: frozenset[Any] | None, old: frozenset[Any] | None) -> bool:
    return old is None or (new is not None and new <= old)


def _fewer_if_any(new: Any, old: Any) -> bool:
    """Empty is no limit, so it is the loosest."""
    return not old or (bool(new) and set(new) <= set(old))


def _earlier(new: float | None, old: float | None) -> bool:
    return old is None or (new is not None and new <= old)


def _less(new: int, old: int) -> bool:
    return not old or 0 < new <= old


def _slower(new: Rate | None, old: Rate | None) -> bool:
    if old is None:
        return True
    return new is not None and new.per_minute <= old.per_minute and new.burst <= old.burst


def _asks_more(new: Confirm, old: Confirm) -> bool:
    return not old.asked or (new.asked and new.minutes <= old.minutes)


_STRICTER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "allow": _fewer_if_any,
    "deny": lambda new, old: set(old) <= set(new),
    "doors": _fewer,
    "operations": _fewer,
    "mechanisms": _fewer,
    "namespaces": _fewer_if_any,
    "destinations": _fewer_if_any,
    "readable": lambda new, old: new or not old,
    "hours": lambda new, old: old is None or new == old,
    "expires": _earlier,
    "max_uses": _less,
    "rate": _slower,
    "confirm": _asks_more,
}
