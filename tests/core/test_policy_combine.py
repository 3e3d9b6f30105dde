"""The strictest of two policies, and whether one is looser than another."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.policies import FILES, destinations, parts, policies, requests

from keyholm.core.policy import (
    OPEN,
    CallerRule,
    Confirm,
    Decision,
    Policy,
    Rate,
    Request,
    decide,
    loosens,
    parse,
    tighten,
)

MANY = settings(max_examples=max(150, settings().max_examples))


def of(policy: Policy, request: Request) -> Decision:
    return decide(policy, request, FILES.get)


def is_no_looser(new: Decision, old: Decision) -> bool:
    if not new.allowed:
        return True
    if not old.allowed:
        return False
    return old.consent is None or (
        new.consent is not None and new.consent.minutes <= old.consent.minutes
    )


@MANY
@given(policies, policies, requests)
def test_the_strictest_of_two_allows_what_both_allow(
    one: Policy, other: Policy, request: Request
) -> None:
    both = of(tighten(one, other), request)
    first, second = of(one, request), of(other, request)
    assert both.allowed == (first.allowed and second.allowed)
    assert is_no_looser(both, first)
    assert is_no_looser(both, second)


@given(policies, policies)
def test_the_strictest_of_two_loosens_neither(one: Policy, other: Policy) -> None:
    both = tighten(one, other)
    assert loosens(both, one) == []
    assert loosens(both, other) == []
    assert tighten(both, one) == both
    assert (tighten(one, OPEN), tighten(OPEN, one), tighten(one, one)) == (one, one, one)


@given(policies, policies)
def test_parts_have_no_parts(one: Policy, other: Policy) -> None:
    assert not any(part.also for part in tighten(one, other).also)


@MANY
@given(parts, policies, requests, st.data())
def test_what_does_not_loosen_allows_nothing_new(
    old: Policy, other: Policy, request: Request, data: st.DataObject
) -> None:
    # Few pairs of policies are comparable: begin with one, and change a field of it.
    name = data.draw(
        st.sampled_from([field for field in Policy.__struct_fields__ if field != "also"])
    )
    new = replace(old, **{name: getattr(other, name)})
    if not loosens(new, old):
        assert is_no_looser(of(new, request), of(old, request))


@given(policies)
def test_nothing_loosens_itself_and_only_openness_is_not_loosened(policy: Policy) -> None:
    assert loosens(policy, policy) == []
    assert loosens(policy, OPEN) == []
    if any(replace(part, also=()) != OPEN for part in policy.parts):
        assert loosens(OPEN, policy) != []


LIMITS = {
    "deny": "deny = [{uid = 1}]",
    "allow": "allow = [{uid = 1}]",
    "doors": 'doors = ["agent"]',
    "operations": 'operations = ["sign"]',
    "mechanisms": 'mechanisms = ["eddsa"]',
    "namespaces or destinations": 'namespaces = ["git"]',
    "hours": 'hours = "Mon 09:00-12:00 UTC"',
    "expires": 'expires = "2027-01-01"',
    "max_uses": "max_uses = 2",
    "rate": "rate = {per_minute = 3}",
    "confirm": 'confirm = "each"',
}


def test_a_limit_that_is_dropped_is_named() -> None:
    everything = parse("\n".join(LIMITS.values()))
    assert loosens(OPEN, everything) == list(LIMITS)
    for name, limit in LIMITS.items():
        others = "\n".join(each for each in LIMITS.values() if each != limit)
        assert loosens(parse(others), everything) == [name]
        assert loosens(parse(others), parse(f"{others}\n[[also]]\n{limit}")) == [name]


TIGHTER = (
    # new, old
    ("allow = [{uid = 1}]", ""),
    ("allow = [{uid = 1}]", "allow = [{uid = 1}, {uid = 2}]"),
    ('allow = [{uid = 1, exe = "/usr/bin/ssh"}]', "allow = [{uid = 1}]"),
    ("deny = [{uid = 1}]", "deny = [{uid = 1, forwarded = true}]"),
    ('doors = ["agent"]', 'doors = ["agent", "pkcs11"]'),
    ('namespaces = ["git"]', 'namespaces = ["file", "git"]'),
    ('namespaces = ["git"]', "readable = true"),
    ('hours = "Mon-Tue 09:00-12:00 UTC"', 'hours = "Mon-Fri 08:00-12:00 UTC"'),
    ('hours = "Fri 22:00-05:00 UTC"', 'hours = "Fri 22:00-06:00 UTC"'),
    ('expires = "2027-01-01"', 'expires = "2028-01-01"'),
    ("max_uses = 2", "max_uses = 3"),
    ("rate = {per_minute = 2, burst = 1}", "rate = {per_minute = 3}"),
    ('confirm = "each"', 'confirm = "5m"'),
    ('confirm = "5m"', 'confirm = "15m"'),
)
NOT_COMPARABLE = (
    ('allow = [{unit = "a"}]', 'allow = [{unit = "b"}]'),
    ('namespaces = ["git"]', 'namespaces = ["file"]'),
    ('hours = "Mon 09:00-12:00 UTC"', 'hours = "Mon 09:00-12:00 Europe/Berlin"'),
    ("rate = {per_minute = 9, burst = 1}", "rate = {per_minute = 3, burst = 3}"),
    ('mechanisms = ["eddsa"]', 'mechanisms = ["ecdsa"]'),
)


def test_what_tightens_is_seen_and_its_opposite_loosens() -> None:
    for new, old in TIGHTER:
        assert loosens(parse(new), parse(old)) == [], (new, old)
        assert loosens(parse(old), parse(new)) != [], (new, old)


def test_a_limit_may_move_to_another_part() -> None:
    one, other = parse('[[also]]\nnamespaces = ["git"]'), parse('namespaces = ["git"]')
    assert loosens(one, other) == loosens(other, one) == []


def test_what_cannot_be_compared_loosens() -> None:
    for new, old in NOT_COMPARABLE:
        assert loosens(parse(new), parse(old)) != []
        assert loosens(parse(old), parse(new)) != []


@given(destinations)
def test_a_key_of_both_loses_neither_bound_unseen(destination: object) -> None:
    both = Policy(namespaces=frozenset({"git"}), destinations=(destination,))  # type: ignore[arg-type]
    signs, logs_in = replace(both, destinations=()), replace(both, namespaces=frozenset())
    assert loosens(signs, both) == loosens(logs_in, both) == []
    assert loosens(both, signs) == loosens(both, logs_in) == ["namespaces or destinations"]
    assert loosens(signs, logs_in) == ["namespaces or destinations"]


def test_the_least_number_of_uses_counts() -> None:
    policy = tighten(Policy(max_uses=5), tighten(Policy(max_uses=2), Policy(rate=Rate(1, 1))))
    assert policy.most_uses == 2
    assert policy.is_counted
    assert not tighten(Policy(confirm=Confirm(asked=True)), Policy(readable=True)).is_counted


def test_a_rule_about_more_people_is_looser_in_allow_and_stricter_in_deny() -> None:
    some, more = CallerRule(uid=1, unit="a"), CallerRule(uid=1)
    assert loosens(Policy(allow=(more,)), Policy(allow=(some,))) == ["allow"]
    assert loosens(Policy(allow=(some,)), Policy(allow=(more,))) == []
    assert loosens(Policy(deny=(some,)), Policy(deny=(more,))) == ["deny"]
    assert loosens(Policy(deny=(more,)), Policy(deny=(some,))) == []
