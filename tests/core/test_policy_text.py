"""A policy as TOML: one canonical form, and nothing unknown in it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.policies import policies, words

from keyholm.core.caller import Door
from keyholm.core.destination import Destination, Hop, HopKey
from keyholm.core.errors import BadPolicy
from keyholm.core.policy import (
    OPEN,
    CallerRule,
    Confirm,
    Hours,
    Policy,
    Rate,
    parse,
    policy_hash,
    write,
)
from keyholm.core.policy.text import _FIELDS

HOST = "SHA256:" + "h" * 43
AUTHORITY = "SHA256:" + "c" * 43
# Each field, as a person writes it and as it is kept.
WRITTEN = f"""
confirm = "15m"
expires = 2027-01-01
hours = "Mon-Fri 07:00-20:00 Europe/Berlin"
rate = {{per_minute = 30, burst = 10}}
max_uses = 100
readable = false
doors = ["pkcs11", "agent"]
operations = ["sign"]
mechanisms = ["eddsa", "rsa-pss-sha256", "vendor-0x80000001"]
namespaces = ["git", "file"]

[[allow]]
uid = 1000
exe = "/usr/bin/ssh"

[[allow]]
unit = "ci-runner.service"

[[deny]]
forwarded = true

[[destinations]]
host = "h1"
user = "deploy"
keys = ["{HOST}"]

[[destinations]]
host = "h2.example.com"
ca = ["{AUTHORITY}"]
through = {{host = "h1", keys = ["{HOST}"]}}

[[also]]
confirm = "each"
"""
KEPT = f"""\
deny = [{{forwarded = true}}]
allow = [{{uid = 1000, exe = "/usr/bin/ssh"}}, {{unit = "ci-runner.service"}}]
doors = ["agent", "pkcs11"]
operations = ["sign"]
mechanisms = ["eddsa", "rsa-pss-sha256", "vendor-0x80000001"]
namespaces = ["file", "git"]
destinations = [{{host = "h1", user = "deploy", keys = ["{HOST}"]}}, \
{{host = "h2.example.com", ca = ["{AUTHORITY}"], through = {{host = "h1", keys = ["{HOST}"]}}}}]
hours = "Mon-Fri 07:00-20:00 Europe/Berlin"
expires = "2027-01-01T00:00:00+00:00"
max_uses = 100
rate = {{per_minute = 30, burst = 10}}
confirm = "15m"

[[also]]
confirm = "each"
"""
POLICY = Policy(
    deny=(CallerRule(forwarded=True),),
    allow=(CallerRule(1000, "/usr/bin/ssh"), CallerRule(unit="ci-runner.service")),
    doors=frozenset({Door.AGENT, Door.PKCS11}),
    operations=frozenset({"sign"}),
    mechanisms=frozenset({"eddsa", "rsa-pss-sha256", "vendor-0x80000001"}),
    namespaces=frozenset({"git", "file"}),
    destinations=(
        Destination(Hop("h1", (HopKey(HOST),)), "deploy"),
        Destination(
            Hop("h2.example.com", (HopKey(AUTHORITY, is_ca=True),)),
            origin=Hop("h1", (HopKey(HOST),)),
        ),
    ),
    hours=Hours(frozenset(range(5)), 7 * 60, 20 * 60, "Europe/Berlin"),
    expires=1_798_761_600.0,
    max_uses=100,
    rate=Rate(30, 10),
    confirm=Confirm(asked=True, minutes=15),
    also=(Policy(confirm=Confirm(asked=True)),),
)


def test_every_field_is_read_and_written() -> None:
    assert parse(WRITTEN) == POLICY
    assert write(POLICY) == KEPT
    assert all(getattr(POLICY, name) != getattr(OPEN, name) for name in ("allow", "also", "rate"))


def test_the_hash_never_changes() -> None:
    # It is bound into the files of keys: another value would make every key's policy a forgery.
    assert policy_hash(POLICY) == (
        "d1086609d880c4f66bca0110e8a050e6e4b7ceb59ffb1792aabb8a27a5a6871c"
    )
    assert policy_hash(OPEN) == ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


@given(policies)
def test_what_is_written_is_read_back(policy: Policy) -> None:
    assert parse(write(policy)) == policy
    assert write(parse(write(policy))) == write(policy)


@given(policies, policies)
def test_policies_that_differ_have_another_hash(one: Policy, other: Policy) -> None:
    assert (policy_hash(one) == policy_hash(other)) == (one == other)


@given(words, words, words)
def test_any_words_can_be_written(unit: str, namespace: str, user: str) -> None:
    policy = Policy(
        allow=(CallerRule(unit=unit, executable=f"/{unit}"),),
        namespaces=frozenset({namespace}),
        destinations=(Destination(Hop(unit, (HopKey(HOST),)), user),),
    )
    assert parse(write(policy)) == policy


def refusal(read: Callable[[], object]) -> str:
    """What is said of something that cannot be read; empty where it can."""
    try:
        read()
    except BadPolicy as error:
        return error.what
    return ""


@given(st.text())
def test_arbitrary_text_is_a_policy_or_refused(text: str) -> None:
    what = refusal(lambda: parse(text))
    assert what.isprintable()
    if not what:
        assert parse(write(parse(text))) == parse(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.dates(), st.lists))
def test_a_value_of_any_kind_is_read_or_refused_with_its_place(value: object) -> None:
    for name, field in _FIELDS.items():
        where = f"policy.{name}"
        what = refusal(partial(field.read, value, where))
        assert not what or what.startswith(where)


WRONG = {
    "destination = []": ("policy has an unknown field `destination`", "`destinations`"),
    "colour = 1": ("unknown field `colour`", "Known are allow, also"),
    "allow = [{exec = '/x'}]": ("policy.allow[0] has an unknown field `exec`", "`exe`"),
    "allow = [{}]": ("policy.allow[0] names nobody", ""),
    "allow = []": ("policy.allow is empty", "Leave it out"),
    "allow = {uid = 1}": ("policy.allow should be a list", ""),
    "allow = [{uid = true}]": ("policy.allow[0].uid should be a whole number", ""),
    "allow = [{uid = -1}]": ("policy.allow[0].uid should be a whole number", ""),
    "allow = [{exe = 'ssh'}]": ("policy.allow[0].exe should be an absolute path", ""),
    "allow = [{exe = '/x', forwarded = true}]": ("policy.allow[0] matches nobody", ""),
    "deny = [{forwarded = 1}]": ("policy.deny[0].forwarded should be true or false", ""),
    "doors = ['agnet']": ("policy.doors has an unknown door `agnet`", "`agent`"),
    "doors = []": ("policy.doors is empty", ""),
    "operations = ['singing']": ("unknown operation `singing`", "`sign`"),
    "mechanisms = ['ecdsa-sha265']": ("unknown mechanism `ecdsa-sha265`", "`ecdsa-sha256`"),
    "mechanisms = ['vendor-80000001']": ("unknown mechanism", ""),
    "namespaces = ['']": ("policy.namespaces[0] should be a text", ""),
    r'namespaces = ["a\nb"]': ("policy.namespaces[0] holds a character", ""),
    "destinations = [{host = 'h'}]": ("policy.destinations[0] names no host key", "known_hosts"),
    f"destinations = [{{keys = ['{HOST}']}}]": ("destinations[0].host should be a text", ""),
    "destinations = [{host = 'h', keys = ['MD5:00']}]": ("keys[0] should be a fingerprint", ""),
    f"destinations = [{{host = 'h', keys = ['{HOST}'], through = {{user = 'u'}}}}]": (
        "policy.destinations[0].through has an unknown field `user`",
        "",
    ),
    "readable = 'yes'": ("policy.readable should be true or false", ""),
    "hours = 'Mon-Fri 9-17 UTC'": ("policy.hours should be hours", ""),
    "hours = 'Mon 09:60-17:00 UTC'": ("policy.hours should be hours", ""),
    "hours = 'Mon 24:00-01:00 UTC'": ("policy.hours should be hours", ""),
    "hours = 'Mon 09:00-24:01 UTC'": ("policy.hours should be hours", ""),
    "hours = 'Mon-Fry 09:00-17:00 UTC'": ("policy.hours should be hours", ""),
    "hours = 'Mon 09:00-17:00 Mars/Olympus'": ("no time zone Mars/Olympus", "tzdata"),
    "hours = 'Mon 09:00-17:00 /etc/passwd'": ("no time zone /etc/passwd", ""),
    "hours = 'Mon 09:00-17:00 ../passwd'": ("policy.hours should be hours", ""),
    "expires = 'soon'": ("policy.expires should be a date", ""),
    "expires = 07:00:00": ("policy.expires should be a date", ""),
    "expires = 9999-12-31T23:59:59-23:59": ("a date between 1970 and 9998", ""),
    "expires = 0001-01-01T00:00:00+23:59": ("a date between 1970 and 9998", ""),
    "max_uses = 4294967296": ("policy.max_uses should be a whole number", ""),
    "max_uses = 1.5": ("policy.max_uses should be a whole number", ""),
    "rate = {burst = 1}": ("policy.rate.per_minute should be a whole number", ""),
    "rate = {per_minute = 0}": ("policy.rate does not make sense", "1 to 1000"),
    "rate = {per_minute = 1, burst = 2}": ("policy.rate does not make sense", ""),
    "rate = {per_minute = 1001}": ("policy.rate does not make sense", ""),
    "rate = {per_hour = 1}": ("policy.rate has an unknown field `per_hour`", ""),
    "confirm = 'always'": ('policy.confirm should be "never"', ""),
    "confirm = '0m'": ('policy.confirm should be "never"', ""),
    "confirm = true": ("policy.confirm should be a text", ""),
    "also = [{also = []}]": ("policy.also[0] has an unknown field `also`", ""),
    "also = [{confirm = 'x'}]": ("policy.also[0].confirm should be", ""),
    "allow = [": ("The policy is not TOML", ""),
    "max_uses = " + "1" * 9999: ("The policy is not TOML", ""),
    "a = " + "[" * 20_000: ("The policy is not TOML", ""),
    "a = " + "{b=" * 10_000: ("The policy is not TOML", ""),
    "# " + "x" * 70_000: ("at most 64 KiB", ""),
    "x." * 30_000 + "y = 1": ("at most 2048 dots", ""),
    "[[also]]\n" * 2000: ("policy.also should be a list", ""),
    '"\\u001b[2J" = 1': ("unknown field `'\\x1b[2J'`", ""),
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: str(text)[:40])
def test_a_wrong_policy_is_refused_with_its_place(text: str) -> None:
    what, remedy = WRONG[text]
    with pytest.raises(BadPolicy) as caught:
        parse(text)
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_a_day_and_a_time_without_a_zone_are_in_utc() -> None:
    for text in (
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-01-01T01:00:00+01:00",
        '"2027-01-01"',
        '"2027-01-01T00:00:00Z"',
    ):
        assert parse(f"expires = {text}").expires == POLICY.expires


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Mon-Sun 00:00-24:00 UTC", "Mon-Sun 00:00-24:00 UTC"),
        ("Wed-Tue 00:00-00:00 UTC", "Mon-Sun 00:00-24:00 UTC"),
        ("Sat-Mon 08:00-08:00 UTC", "Sat-Mon 08:00-08:00 UTC"),
        ("Mon,Tue,Fri,Thu 22:00-06:00 UTC", "Mon-Tue,Thu-Fri 22:00-06:00 UTC"),
        ("Fri 08:00-00:00 UTC", "Fri 08:00-24:00 UTC"),
    ],
)
def test_hours_have_one_form(written: str, kept: str) -> None:
    assert write(parse(f'hours = "{written}"')) == f'hours = "{kept}"\n'


def test_a_policy_that_allows_nothing_at_all_cannot_be_made() -> None:
    nothing: dict[str, Any] = {"doors": frozenset(), "operations": frozenset()}
    for name, value in nothing.items():
        with pytest.raises(ValueError, match="allows no"):
            replace(OPEN, **{name: value})
