"""Where a constrained key may be used: every hop is proved, and every hop is permitted."""

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.hosts import AUTHORITY, H0, H1, H2, STRANGER, USER, Holder, OldHolder
from tests.programs import program

from keyholm.core.destination import (
    Binding,
    Destination,
    Hop,
    HopKey,
    from_wire,
    permitted,
    visible,
)
from keyholm.wire.ssh import agent, certificates, constraints, keys, userauth
from keyholm.wire.ssh.certificates import Kind, Option
from keyholm.wire.ssh.private_keys import PrivateEd25519
from keyholm.wire.ssh.userauth import UserAuth

NOW = 1_800_000_000.0


def hop(host: Holder, name: str = "") -> Hop:
    return Hop(name or f"h{(H0, H1, H2).index(host)}", (HopKey(host.fingerprint),))


def session(number: int) -> bytes:
    return bytes((number,)) * 32


def bound(*blobs: bytes, forwarding: bool = False) -> list[Binding]:
    """A chain of forwardings that ends in a login, or in another forwarding."""
    return [
        Binding(blob, session(number), forwarding or number < len(blobs))
        for number, blob in enumerate(blobs, 1)
    ]


def login(number: int, user: str = "root", host_key: bytes | None = None) -> UserAuth:
    method = userauth.HOSTBOUND if host_key else userauth.PUBLICKEY
    return UserAuth(
        session(number), user, userauth.SERVICE, method, "ssh-ed25519", USER.blob, host_key
    )


def refused(
    destinations: list[Destination],
    bindings: list[Binding],
    request: UserAuth | None,
    *,
    attempted: bool = True,
    now: float = NOW,
) -> str:
    verdict = permitted(destinations, bindings, attempted, request, now=now)
    assert verdict.permitted != bool(verdict.reason)
    return verdict.reason


def shown(destinations: list[Destination], bindings: list[Binding], now: float = NOW) -> bool:
    return visible(destinations, bindings, bool(bindings), now=now)


DIRECT = [Destination(hop(H1))]
# As `ssh-add -h h1 -h 'h1>h2'`.
OVER_H1 = [Destination(hop(H1)), Destination(hop(H2), origin=hop(H1))]


# --- one hop -------------------------------------------------------------------------


def test_a_login_at_a_permitted_host_is_signed() -> None:
    chain = bound(H1.blob)
    assert shown(DIRECT, chain)
    assert permitted(DIRECT, chain, True, login(1), now=NOW).host == "h1"
    assert not refused(DIRECT, chain, login(1, host_key=H1.blob))


def test_a_login_elsewhere_is_not() -> None:
    chain = bound(H2.blob)
    assert not shown(DIRECT, chain)
    assert H2.fingerprint in refused(DIRECT, chain, login(1))


def test_a_key_without_destinations_is_shown_everywhere() -> None:
    assert shown([], bound(H2.blob, forwarding=True))
    assert visible([], [], True, now=NOW)


def test_on_an_unbound_connection_a_key_is_shown_and_never_used() -> None:
    assert visible(DIRECT, [], False, now=NOW)
    assert "has not proved" in refused(DIRECT, [], login(1), attempted=False)


def test_after_a_binding_that_failed_a_key_is_not_even_shown() -> None:
    assert not visible(DIRECT, [], True, now=NOW)
    assert "failed" in refused(DIRECT, [], login(1))


def test_what_is_no_login_is_not_signed() -> None:
    assert "not an SSH login" in refused(DIRECT, bound(H1.blob), None)


def test_a_login_of_another_session_is_not_signed() -> None:
    assert "another session" in refused(DIRECT, bound(H1.blob), login(2))


def test_a_login_that_names_another_host_key_is_not_signed() -> None:
    reason = refused(DIRECT, bound(H1.blob), login(1, host_key=H2.blob))
    assert "another host key" in reason


@pytest.mark.parametrize(
    ("pattern", "user", "allowed"),
    [
        ("", "anybody", True),
        ("deploy", "deploy", True),
        ("deploy", "deployer", False),
        ("dep*", "deployer", True),
        ("d?ploy", "deploy", True),
        ("!root", "deploy", False),  # one pattern, not a list of them
        ("deploy,root", "root", False),
        ("deploy", "", False),
        ("*", "", True),
    ],
)
def test_the_user_matches_a_pattern(pattern: str, user: str, allowed: bool) -> None:
    destinations = [Destination(hop(H1), pattern)]
    assert (not refused(destinations, bound(H1.blob), login(1, user))) is allowed


def test_the_user_matters_at_the_last_hop_only() -> None:
    destinations = [
        Destination(hop(H1), "deploy"),
        Destination(hop(H2), "root", hop(H1)),
    ]
    chain = bound(H1.blob, H2.blob)
    assert not refused(destinations, chain, login(2, "root", H2.blob))
    assert refused(destinations, chain, login(2, "deploy", H2.blob))
    assert shown(destinations, chain)


# --- many hops -----------------------------------------------------------------------


def test_a_chain_is_permitted_hop_by_hop() -> None:
    chain = bound(H1.blob, H2.blob)
    assert not refused(OVER_H1, chain, login(2, host_key=H2.blob))
    assert refused(DIRECT, chain, login(2, host_key=H2.blob))
    assert refused(OVER_H1, bound(H2.blob), login(1))
    assert refused(OVER_H1, bound(H0.blob, H2.blob), login(2, host_key=H2.blob))


def test_a_login_over_hops_must_name_its_host_key() -> None:
    assert "must name" in refused(OVER_H1, bound(H1.blob, H2.blob), login(2))


def test_a_forwarding_hop_signs_nothing() -> None:
    chain = bound(H1.blob, forwarding=True)
    assert shown(OVER_H1, chain)
    assert "forwarding" in refused(OVER_H1, chain, login(1))


def test_a_key_that_ends_at_a_host_is_hidden_from_those_who_are_forwarded_there() -> None:
    assert not shown(DIRECT, bound(H1.blob, forwarding=True))
    assert shown(DIRECT, bound(H1.blob))
    assert not shown(OVER_H1, bound(H1.blob, H2.blob, forwarding=True))


def test_what_was_bound_for_a_login_is_not_forwarded() -> None:
    chain = [replace(binding, is_forwarding=False) for binding in bound(H1.blob, H2.blob)]
    assert not shown(OVER_H1, chain)
    assert "was forwarded" in refused(OVER_H1, chain, login(2, host_key=H2.blob))


def test_the_first_hop_begins_here() -> None:
    onward = [Destination(hop(H2), origin=hop(H1))]
    assert not shown(onward, bound(H2.blob))
    assert not shown(onward, bound(H1.blob, H2.blob))


# --- certificates --------------------------------------------------------------------

BY_AUTHORITY = [Destination(Hop("h1.example.com", (HopKey(AUTHORITY.fingerprint, is_ca=True),)))]


@pytest.mark.parametrize(
    ("principals", "allowed"),
    [
        (["h1.example.com"], True),
        (["other", "*.example.com"], True),
        (["h?.example.com"], True),
        (["h1"], False),
        (["h1.example.com,h2"], False),
        ([], False),  # refused since OpenSSH 10.3; it meant any host before
    ],
)
def test_a_certificate_is_for_its_principals(principals: list[str], allowed: bool) -> None:
    chain = bound(AUTHORITY.certify(H1, principals))
    assert shown(BY_AUTHORITY, chain) is allowed


def test_a_wildcard_in_the_destination_is_no_pattern() -> None:
    anywhere = [Destination(Hop("*.example.com", BY_AUTHORITY[0].target.keys))]
    assert not shown(anywhere, bound(AUTHORITY.certify(H1, ["h1.example.com"])))


def test_a_certificate_counts_only_while_it_is_valid() -> None:
    name = ["h1.example.com"]
    blob = AUTHORITY.certify(H1, name, valid_after=1000, valid_before=2000)
    moments = {999.9: False, 1000.0: True, 1999.9: True, 2000.0: False}
    for now, allowed in moments.items():
        assert shown(BY_AUTHORITY, bound(blob), now) is allowed
        assert (not refused(BY_AUTHORITY, bound(blob), login(1), now=now)) is allowed


def test_a_certificate_that_says_more_or_something_else_is_not_believed() -> None:
    name = ["h1.example.com"]
    good = AUTHORITY.certify(H1, name)
    assert shown(BY_AUTHORITY, bound(good))
    for blob in (
        STRANGER.certify(H1, name),
        AUTHORITY.certify(H1, name, kind=Kind.USER),
        AUTHORITY.certify(H1, name, critical_options=(Option("force-command"),)),
        good[:-1] + bytes((good[-1] ^ 1,)),  # the authority's signature
        good[:-1],
        H1.blob,
        AUTHORITY.blob,
    ):
        assert not shown(BY_AUTHORITY, bound(blob))


def test_a_certificate_by_an_algorithm_of_the_past_is_not_believed() -> None:
    old = OldHolder()
    certificate = old.certify(H1, ["h1"])
    certificates.verify(certificates.decode(certificate))
    assert not shown([Destination(Hop("h1", (HopKey(old.fingerprint, True),)))], bound(certificate))


def test_a_certificate_that_is_forged_in_its_principals_is_not_believed() -> None:
    other = certificates.decode(AUTHORITY.certify(H1, ["other"]))
    forged = certificates.encode(replace(other, principals=("h1.example.com",)))
    assert not shown(BY_AUTHORITY, bound(forged))


def test_the_key_in_a_certificate_is_no_plain_key_and_an_authority_is_no_host() -> None:
    blob = AUTHORITY.certify(H1, ["h1"])
    assert not shown(DIRECT, bound(blob))
    as_host = [Destination(Hop("h1", (HopKey(AUTHORITY.fingerprint),)))]
    assert not shown(as_host, bound(blob))
    plain_as_authority = [Destination(Hop("h1", (HopKey(H1.fingerprint, is_ca=True),)))]
    assert not shown(plain_as_authority, bound(H1.blob))


def test_a_certified_host_may_be_on_the_way() -> None:
    destinations = [
        *BY_AUTHORITY,
        Destination(hop(H2), origin=BY_AUTHORITY[0].target),
    ]
    chain = bound(AUTHORITY.certify(H1, ["h1.example.com"]), H2.blob)
    assert not refused(destinations, chain, login(2, host_key=H2.blob))


def test_bytes_that_are_no_key_are_nobodys() -> None:
    for blob in (b"", b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com", b"x" * 40):
        assert not shown(DIRECT, bound(blob))


# --- as the real agent has it --------------------------------------------------------

# Two hosts and few names, so that chains and constraints meet.
CERTIFIED = {AUTHORITY.certify(H0, ["h0"]): H0, AUTHORITY.certify(H1, ["h1"]): H1}
BLOBS = {H0.blob: H0, H1.blob: H1, **CERTIFIED, STRANGER.certify(H1, ["h1"]): H1}
TARGETS = [
    *(
        constraints.Hop(user, f"h{number}", (constraints.HopKey(host.blob, is_ca=False),))
        for number, host in enumerate((H0, H1))
        for user in ("", "root", "d*")
    ),
    constraints.Hop("", "h0", (constraints.HopKey(AUTHORITY.blob, is_ca=True),)),
    constraints.Hop("", "h1", (constraints.HopKey(AUTHORITY.blob, is_ca=True),)),
    constraints.Hop(
        "",
        "h1",
        (
            constraints.HopKey(H0.blob, is_ca=False),
            constraints.HopKey(H1.blob, is_ca=True),
            constraints.HopKey(AUTHORITY.blob, is_ca=True),
        ),
    ),
]
HERE = constraints.Hop("", "")
Chain = list[tuple[bytes, bool]]


def _fitting(blob: bytes) -> list[constraints.Hop]:
    """Targets that may match `blob`: they name its key, or the authority that signed it."""
    names = {blob, AUTHORITY.blob if certificates.is_certificate(blob) else blob}
    return [hop for hop in TARGETS if names & {key.blob for key in hop.keys}]


@st.composite
def conversations(
    draw: st.DrawFn,
) -> tuple[constraints.RestrictDestination, Chain, UserAuth]:
    """A connection and a login over it, most of them as ssh makes them, and rules for them."""
    blobs = draw(st.lists(st.sampled_from(list(BLOBS)), max_size=3))
    origin, rules = HERE, []
    for blob in blobs:
        target = draw(st.sampled_from([*_fitting(blob) * 3, *TARGETS] or TARGETS))
        rules.append(constraints.DestinationConstraint(origin, target))
        origin = replace(target, user="")
    for _ in range(draw(st.integers(0 if rules else 1, 2))):
        end = draw(st.sampled_from([HERE, origin, *(replace(hop, user="") for hop in TARGETS)]))
        rules.append(constraints.DestinationConstraint(end, draw(st.sampled_from(TARGETS))))
    odd = draw(st.integers(0, 9))
    chain = [(blob, number < len(blobs)) for number, blob in enumerate(blobs, 1)]
    if chain and odd < 2:
        at = draw(st.integers(0, len(chain) - 1))
        chain[at] = (chain[at][0], not chain[at][1])
    number = len(chain) if odd != 2 else draw(st.integers(1, 3))
    hosts = [*blobs[-1:] * 3, None] if odd != 3 else [*BLOBS, None]
    user = draw(st.sampled_from(["root", "deploy"]))
    request = login(max(number, 1), user, draw(st.sampled_from(hosts)))
    return constraints.RestrictDestination(tuple(draw(st.permutations(rules)))), chain, request


@dataclass
class Connection:
    """A client of the real agent."""

    path: str

    def __enter__(self) -> "Connection":
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, message: agent.Message) -> agent.Message:
        frame = agent.encode(message)
        self._socket.sendall(len(frame).to_bytes(4) + frame)
        return agent.decode(self._read(int.from_bytes(self._read(4))))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, "the agent closed the connection"
            data += more
        return data

    def bind(self, blob: bytes, session_id: bytes, *, is_forwarding: bool) -> bool:
        signature = BLOBS[blob].sign(session_id)
        binding = agent.SessionBind(blob, session_id, signature, is_forwarding)
        contents = agent.encode_session_bind(binding)
        return isinstance(self.ask(agent.Extension(agent.SESSION_BIND, contents)), agent.Success)


@pytest.fixture(scope="module")
def real_agent() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "agent")
        command = [program("ssh-agent"), "-D", "-a", path]
        environment = {**os.environ, "LC_ALL": "C"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout
            process.stdout.readline()
            yield path
            process.terminate()


@pytest.mark.interop
@settings(max_examples=max(400, settings().max_examples))
@given(conversations())
def test_the_real_agent_shows_and_signs_the_same(
    real_agent: str, conversation: tuple[constraints.RestrictDestination, Chain, UserAuth]
) -> None:
    constraint, chain, request = conversation
    destinations = from_wire(constraint)
    private = PrivateEd25519(USER.public, memoryview(USER.seed))
    bindings: list[Binding] = []
    with Connection(real_agent) as client:
        added = client.ask(agent.AddIdentityConstrained(private, b"key", (constraint,)))
        assert isinstance(added, agent.Success)
        for number, (blob, is_forwarding) in enumerate(chain, 1):
            if client.bind(blob, session(number), is_forwarding=is_forwarding):
                bindings.append(Binding(blob, session(number), is_forwarding))
        listed = client.ask(agent.RequestIdentities())
        assert isinstance(listed, agent.IdentitiesAnswer)
        data = userauth.encode(request)
        signed = client.ask(agent.SignRequest(USER.blob, data, agent.SignFlag(0)))
    attempted = bool(chain)
    assert bool(listed.identities) == visible(destinations, bindings, attempted, now=NOW)
    verdict = permitted(destinations, bindings, attempted, request, now=NOW)
    assert isinstance(signed, agent.SignResponse) == verdict.permitted


def test_fingerprints_are_of_what_a_constraint_names() -> None:
    named = constraints.HopKey(H1.blob, is_ca=False), constraints.HopKey(AUTHORITY.blob, is_ca=True)
    there = constraints.Hop("deploy", "h1", named)
    here = constraints.Hop("", "")
    constraint = constraints.RestrictDestination((constraints.DestinationConstraint(here, there),))
    assert from_wire(constraint) == (
        Destination(
            Hop("h1", (HopKey(keys.fingerprint(H1.blob)), HopKey(AUTHORITY.fingerprint, True))),
            "deploy",
        ),
    )
    assert from_wire(None) == ()
