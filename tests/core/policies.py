"""Strategies that build policies and requests out of one small world, so that rules meet callers."""

import base64
import hashlib
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from keyholm.core.caller import Door, Executable, Process, Via
from keyholm.core.destination import Binding, Destination, Hop, HopKey
from keyholm.core.mechanisms import Digest, Ecdsa, EdDsa, Hash, Input, Mechanism, Message, Opaque
from keyholm.core.policy import (
    CallerRule,
    Confirm,
    Context,
    Hours,
    Policy,
    Rate,
    Request,
    Usage,
)
from keyholm.wire.ssh import keys, userauth
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

SSH = Executable("/usr/bin/ssh", 1, 10, trusted=True, interpreter=False)
GIT = Executable("/usr/bin/git", 1, 11, trusted=True, interpreter=False)
PYTHON = Executable("/usr/bin/python3", 1, 12, trusted=True, interpreter=True)
MINE = Executable("/home/me/bin/ssh", 2, 10, trusted=False, interpreter=False)
PROGRAMS = (SSH, GIT, PYTHON, MINE)
FILES = {each.path: (each.device, each.inode, each.trusted) for each in PROGRAMS}

KEY = keys.encode(keys.Ed25519(b"k" * 32))
OTHER = keys.encode(keys.Ed25519(b"o" * 32))
HOSTS = tuple(keys.encode(keys.Ed25519(bytes((number,)) * 32)) for number in range(3))
NOON = 1_800_000_000.0  # Friday 2027-01-15, 08:00 in UTC

fingerprints = st.one_of(
    st.sampled_from([keys.fingerprint(host) for host in HOSTS]),
    st.binary(max_size=4).map(
        lambda seed: "SHA256:" + base64.b64encode(hashlib.sha256(seed).digest()).decode()[:43]
    ),
)
hop_keys = st.builds(
    lambda plain, authorities: (
        *(HopKey(each) for each in plain),
        *(HopKey(each, is_ca=True) for each in authorities),
    ),
    st.lists(fingerprints, min_size=1, max_size=2),
    st.lists(fingerprints, max_size=1),
)
words = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="\x7f"), min_size=1, max_size=12
).filter(str.isprintable)
hops = st.builds(Hop, st.sampled_from(["h0", "h1", "*.example"]), hop_keys)
users = st.sampled_from(["", "root", "deploy", "d*"])
destinations = st.builds(Destination, hops, users, st.one_of(st.just(Hop()), hops))
rules = st.builds(
    CallerRule,
    uid=st.sampled_from([None, 0, 1000, 1001]),
    executable=st.sampled_from(["", *FILES]),
    unit=st.sampled_from(["", "ci.service", "mail.service"]),
    forwarded=st.sampled_from([None, False, True]),
).filter(lambda rule: rule != CallerRule() and not (rule.executable and rule.forwarded))
hours = st.builds(
    lambda days, start, length, zone: Hours(days, start, start + length, zone),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 24 * 60 - 1),
    st.integers(1, 24 * 60),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
)
rates = st.integers(1, 5).flatmap(lambda most: st.builds(Rate, st.just(most), st.integers(1, most)))
confirms = st.builds(
    lambda minutes: Confirm() if minutes is None else Confirm(asked=True, minutes=minutes),
    st.sampled_from([None, 0, 5, 15]),
)


def _maybe(strategy: st.SearchStrategy[object], default: object) -> st.SearchStrategy[object]:
    return st.one_of(st.just(default), st.just(default), strategy)


_FIELDS: dict[str, tuple[st.SearchStrategy[Any], object]] = {
    "deny": (st.lists(rules, max_size=2).map(tuple), ()),
    "allow": (st.lists(rules, max_size=3).map(tuple), ()),
    "doors": (st.frozensets(st.sampled_from(Door), min_size=1), None),
    "operations": (st.frozensets(st.sampled_from(["sign", "decrypt"]), min_size=1), None),
    "mechanisms": (st.frozensets(st.sampled_from(["eddsa", "ecdsa"]), min_size=1), None),
    "namespaces": (st.frozensets(st.sampled_from(["git", "file", "ü"]), min_size=1), frozenset()),
    "destinations": (st.lists(destinations, max_size=3).map(tuple), ()),
    "readable": (st.booleans(), False),
    "hours": (hours, None),
    "expires": (st.sampled_from([0.0, NOON, NOON + 3600.5]), None),
    "max_uses": (st.integers(0, 3), 0),
    "rate": (rates, None),
    "confirm": (confirms, Confirm()),
}
parts = st.builds(Policy, **{name: _maybe(*field) for name, field in _FIELDS.items()})
policies = st.builds(
    lambda base, also: replace(base, also=tuple(also)), parts, st.lists(parts, max_size=2)
)

processes = st.builds(
    Process,
    pid=st.just(7),
    start=st.just(1),
    executable=st.sampled_from([None, *PROGRAMS]),
    unit=st.sampled_from(["", "ci.service", "mail.service"]),
)
bindings = st.lists(
    st.builds(
        Binding, st.sampled_from(HOSTS), st.sampled_from([b"s" * 32, b"t" * 32]), st.booleans()
    ),
    max_size=3,
).map(tuple)
logins = st.builds(
    lambda session, user, key, host: UserAuth(
        session,
        user,
        userauth.SERVICE,
        userauth.HOSTBOUND if host else userauth.PUBLICKEY,
        "ssh-ed25519",
        key,
        host,
    ),
    st.sampled_from([b"s" * 32, b"t" * 32]),
    st.sampled_from(["root", "deploy"]),
    st.sampled_from([KEY, KEY, KEY, OTHER]),
    st.sampled_from([None, *HOSTS]),
)
contexts: st.SearchStrategy[Context] = st.one_of(
    st.none(),
    logins,
    st.builds(SshSig, st.sampled_from(["git", "file"]), st.just("sha512"), st.just(b"d" * 64)),
)
_messages = st.tuples(st.just(Message(b"m")), contexts)
_others = st.sampled_from([Digest(Hash.SHA256, b"d" * 32), Opaque(b"o")])
_mechanisms: st.SearchStrategy[Mechanism] = st.sampled_from([EdDsa(), Ecdsa(), Ecdsa(Hash.SHA256)])


def _request(given: tuple[Input | None, Context], fields: dict[str, object]) -> Request:
    return Request(input=given[0], context=given[1], key_blob=KEY, **fields)  # type: ignore[arg-type]


requests = st.builds(
    _request,
    st.one_of(_messages, _messages, st.tuples(_others, st.none())),
    st.fixed_dictionaries(
        {
            "uid": st.sampled_from([0, 1000, 1001]),
            "door": st.sampled_from(Door),
            "via": st.sampled_from(Via),
            "process": processes,
            "bindings": bindings,
            "bind_attempted": st.booleans(),
            "operation": st.sampled_from(["sign", "decrypt"]),
            "mechanism": _mechanisms,
            "now": st.floats(NOON - 7 * 86400, NOON + 7 * 86400),
            "usage": st.builds(
                Usage,
                st.integers(0, 4),
                st.lists(st.floats(0, 100), max_size=6).map(sorted).map(tuple),
                st.just(100.0),
            ),
        }
    ),
)
