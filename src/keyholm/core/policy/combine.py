"""How two policies compare, and the strictest of both."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from keyholm.core.policy.hours import Hours
from keyholm.core.policy.model import OPEN, CallerRule, Confirm, Policy, Rate


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
    """Which fields of `new` may allow something that `old` did not. Not sure counts as yes.

    All parts of a policy must agree, so `new` is no looser where each field of each part of
    `old` finds one at least as strict in some part of `new`.
    """
    loose = [
        name
        for was in old.parts
        for name, is_stricter in _STRICTER.items()
        if not any(is_stricter(part, was) for part in new.parts)
    ]
    return list(dict.fromkeys(loose))


_Stricter = Callable[[Policy, Policy], bool]


def _by(name: str, is_stricter: Callable[[Any, Any], bool]) -> _Stricter:
    return lambda new, old: is_stricter(getattr(new, name), getattr(old, name))


def _fewer(new: frozenset[str] | None, old: frozenset[str] | None) -> bool:
    return old is None or (new is not None and new <= old)


def _allows_fewer(new: tuple[CallerRule, ...], old: tuple[CallerRule, ...]) -> bool:
    """An empty list is no limit, so it is the loosest."""
    return not old or (bool(new) and all(_is_one_of(rule, old) for rule in new))


def _denies_more(new: tuple[CallerRule, ...], old: tuple[CallerRule, ...]) -> bool:
    return all(_is_one_of(rule, new) for rule in old)


def _is_one_of(rule: CallerRule, others: Iterable[CallerRule]) -> bool:
    """Whether everybody whom `rule` is about is surely one whom one of `others` is about."""
    return any(
        all(
            getattr(other, name) in (getattr(_ANYBODY, name), getattr(rule, name))
            for name in ("uid", "executable", "unit", "forwarded")
        )
        for other in others
    )


def _is_bound_more(new: Policy, old: Policy) -> bool:
    """What is signed: a key with namespaces and destinations signs in either."""
    bound = bool(new.namespaces or new.destinations)
    if old.namespaces or old.destinations:
        fewer = set(new.destinations) <= set(old.destinations)
        return bound and fewer and new.namespaces <= old.namespaces
    return bound or new.readable or not old.readable


def _within(new: Hours | None, old: Hours | None) -> bool:
    return old is None or (new is not None and new.is_within(old))


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


_ANYBODY: Final = CallerRule()
_STRICTER: Final[dict[str, _Stricter]] = {
    "deny": _by("deny", _denies_more),
    "allow": _by("allow", _allows_fewer),
    "doors": _by("doors", _fewer),
    "operations": _by("operations", _fewer),
    "mechanisms": _by("mechanisms", _fewer),
    "namespaces or destinations": _is_bound_more,
    "hours": _by("hours", _within),
    "expires": _by("expires", _earlier),
    "max_uses": _by("max_uses", _less),
    "rate": _by("rate", _slower),
    "confirm": _by("confirm", _asks_more),
}
