"""The agent's conversation, message by message: OpenSSH 10.5's answers, and where we differ.

Where an answer differs from OpenSSH's on purpose, the test says so and stands in
docs/protocols/ssh-agent.md.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyholm.core.audit.records import Operation
from keyholm.core.caller import Caller, Door, Executable, Peer, Process
from keyholm.core.errors import KeyholmError, leaves
from keyholm.core.mechanisms import Input, Mechanism, Message
from keyholm.core.model import Algorithm
from keyholm.core.secret import Secret
from keyholm.core.store import Provided
from keyholm.core.visibility import Rule, Selection
from keyholm.doors.serving import Buffer, Connection, Limits
from keyholm.doors.ssh_agent.errors import EXTENSION_FAILURES, FAILURES
from keyholm.doors.ssh_agent.lock import DoorLock
from keyholm.doors.ssh_agent.options import Options
from keyholm.doors.ssh_agent.server import MAX_BINDINGS, AgentDoor
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software import keys as software
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire.ssh import agent, certificates, constraints, keys, signatures, sshsig, userauth
from keyholm.wire.ssh.private_keys import Private, PrivateEd25519, PrivateWithCertificate

FAILURE, SUCCESS, EXTENSION_FAILURE = b"\5", b"\6", b"\x1c"


class Agent:
    """An agent door over the memory store, and one client of it."""

    def __init__(
        self, options: Options | None = None, forbidden: frozenset[str] = frozenset()
    ) -> None:
        self.clock, self.trail, self.people = Clock(), ListTrail(), ScriptedPrompters()
        self.delays: list[float] = []
        self.store = MemoryStore(clock=self.clock)
        gate = gate_over([self.store], self.trail, self.people, self.clock, forbidden=forbidden)
        lock = DoorLock(sleep=self.delays.append)
        self.door = AgentDoor(
            gate, self.store.token, options or Options(), lambda peer, s: self.process, lock=lock
        )
        self.process = Process(pid=1, start=1)
        self.caller = self.connect()

    def connect(self) -> Caller:
        return Caller(Door.AGENT, Peer(os.getuid(), os.getgid(), 1), lambda: self.process)

    def raw(self, frame: bytes, caller: Caller | None = None) -> bytes:
        return self.door.answer(caller or self.caller, frame)

    def ask(self, message: agent.Message, caller: Caller | None = None) -> bytes:
        return self.raw(agent.encode(message), caller)

    def add(self, private: Private, *limits: Any, comment: bytes = b"k") -> bytes:
        return self.ask(agent.AddIdentityConstrained(private, comment, tuple(limits)))

    def list(self, caller: Caller | None = None) -> tuple[agent.Identity, ...]:
        answer = agent.decode(self.ask(agent.RequestIdentities(), caller))
        assert isinstance(answer, agent.IdentitiesAnswer)
        return answer.identities

    def sign(
        self, private: Private, data: bytes = b"data", flags: int = 0, caller: Caller | None = None
    ) -> bytes:
        blob = keys.encode(private.public)
        return self.ask(agent.SignRequest(blob, data, agent.SignFlag(flags)), caller)


@pytest.fixture
def ours() -> Iterator[Agent]:
    made = Agent()
    yield made
    made.store.close()


def new(algorithm: Algorithm = Algorithm.ED25519) -> Private:
    return software.generate(algorithm)


def signature(answer: bytes) -> bytes:
    response = agent.decode(answer)
    assert isinstance(response, agent.SignResponse), answer
    return response.signature


# --- signing -------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [a for a in Algorithm if a != Algorithm.RSA_4096])
def test_every_kind_of_key_signs(ours: Agent, algorithm: Algorithm) -> None:
    private = new(algorithm)
    assert ours.add(private) == SUCCESS
    blob = signature(ours.sign(private, flags=agent.SignFlag.RSA_SHA2_512))
    signatures.verify(private.public, blob, b"data")


@pytest.mark.parametrize(
    ("flags", "name"),
    [(0, "ssh-rsa"), (1, "ssh-rsa"), (2, "rsa-sha2-256"), (4, "rsa-sha2-512"), (6, "rsa-sha2-256")],
)
def test_the_flags_choose_the_hash_of_an_rsa_signature(ours: Agent, flags: int, name: str) -> None:
    private = new(Algorithm.RSA_2048)
    ours.add(private)
    assert signatures.decode(signature(ours.sign(private, flags=flags))).algorithm == name


def test_a_key_that_a_program_does_not_see_is_not_there_for_it(ours: Agent) -> None:
    hidden, seen = new(), new()
    ours.add(hidden, comment=b"ci-deploy")
    ours.add(seen, comment=b"laptop")
    assert len(ours.list()) == 2
    ours.door.visibility.use([Rule(("ssh",), Door.AGENT, hide=Selection(names=("ci-*",)))])
    assert len(ours.list()) == 2
    ours.process = Process(1, 1, Executable("/usr/bin/ssh", 1, 2, True, False))
    ssh = ours.connect()
    assert [identity.comment for identity in ours.list(ssh)] == [b"laptop"]
    assert len(ours.list()) == 2
    assert ours.sign(hidden, caller=ssh) == FAILURE
    signature(ours.sign(seen, caller=ssh))
    ours.door.visibility.use([])
    assert len(ours.list(ssh)) == 2
    signature(ours.sign(hidden, caller=ssh))


def test_sha1_can_be_switched_off() -> None:
    ours = Agent(forbidden=frozenset({"rsa-pkcs1-sha1"}))
    private = new(Algorithm.RSA_2048)
    ours.add(private)
    assert ours.sign(private) == FAILURE
    assert ours.sign(private, flags=2) != FAILURE
    ours.store.close()


def test_an_unknown_key_and_a_short_request_fail(ours: Agent) -> None:
    private = new()
    assert ours.sign(private) == FAILURE
    ours.add(private)
    whole = agent.encode(agent.SignRequest(keys.encode(private.public), b"d", agent.SignFlag(0)))
    assert ours.raw(whole[:-4]) == FAILURE
    assert ours.raw(whole + b"trailing") != FAILURE


# --- the list ------------------------------------------------------------------------


def test_keys_are_listed_in_the_order_of_their_first_addition(ours: Agent) -> None:
    first, second = new(), new()
    ours.add(first, comment=b"one")
    ours.add(second, comment=b"two")
    ours.add(first, comment=b"again")
    assert [identity.comment for identity in ours.list()] == [b"again", b"two"]


def test_adding_again_replaces_the_constraints(ours: Agent) -> None:
    private = new()
    ours.add(private, constraints.Lifetime(10))
    ours.add(private)
    ours.clock.advance(100)
    assert len(ours.list()) == 1
    ours.add(private, constraints.Lifetime(10))
    ours.clock.advance(10)
    assert ours.list() == ()


def test_a_lifetime_of_nothing_is_over_at_once(ours: Agent) -> None:
    assert ours.add(new(), constraints.Lifetime(0)) == SUCCESS
    assert ours.list() == ()


def test_the_default_lifetime_is_for_keys_that_say_none() -> None:
    ours = Agent(Options(default_lifetime=5))
    ours.add(new())
    ours.add(new(), constraints.Lifetime(50))
    ours.clock.advance(6)
    assert len(ours.list()) == 1
    ours.store.close()


@pytest.mark.parametrize("number", [17, 25])
def test_both_messages_that_add_take_constraints(ours: Agent, number: int) -> None:
    frame = agent.encode(agent.AddIdentityConstrained(new(), b"k", (constraints.Lifetime(1),)))
    assert ours.raw(bytes([number]) + frame[1:]) == SUCCESS
    ours.clock.advance(1)
    assert ours.list() == ()


def test_a_comment_with_a_nul_is_refused(ours: Agent) -> None:
    assert ours.add(new(), comment=b"a\0b") == FAILURE
    assert ours.add(new(), comment=b"") == SUCCESS


# --- deliberately stricter than OpenSSH ----------------------------------------------


def test_halves_that_do_not_belong_together_are_refused(ours: Agent) -> None:
    one, other = new(), new()
    assert isinstance(one, PrivateEd25519)
    assert isinstance(other, PrivateEd25519)
    assert ours.add(replace(one, public=other.public)) == FAILURE
    assert ours.list() == ()
    assert ours.trail.records[-1].error == "BadKeyFile"  # type: ignore[attr-defined]


def test_an_empty_list_of_destinations_is_refused(ours: Agent) -> None:
    frame = agent.encode(agent.AddIdentityConstrained(new(), b"k", ()))
    empty = b"\xff" + text(b"restrict-destination-v00@openssh.com") + text(b"")
    assert ours.raw(frame + empty) == FAILURE


def test_a_number_of_uses_is_kept(ours: Agent) -> None:
    private = new()
    assert ours.add(private, constraints.MaxSign(2)) == SUCCESS
    assert ours.sign(private) != FAILURE
    assert ours.sign(private) != FAILURE
    assert ours.sign(private) == FAILURE
    ours.add(private, constraints.MaxSign(1))
    assert ours.sign(private) != FAILURE


def test_a_malformed_lock_fails_and_the_agent_lives(ours: Agent) -> None:
    assert ours.raw(b"\x16") == FAILURE
    assert ours.list() == ()


def test_a_session_id_of_129_bytes_is_not_called_recorded(ours: Agent) -> None:
    host = Host()
    assert ours.ask(host.bind(b"q" * 129, True)) == EXTENSION_FAILURE
    assert ours.ask(host.bind(b"q" * 128, True)) == SUCCESS


def test_a_forwarded_client_neither_adds_nor_removes_nor_locks(ours: Agent) -> None:
    private = new()
    ours.add(private)
    far = ours.connect()
    assert ours.ask(Host().bind(b"s" * 32, True), far) == SUCCESS
    refused = (
        agent.AddIdentity(new(), b"k"),
        agent.RemoveIdentity(keys.encode(private.public)),
        agent.RemoveAll(),
        agent.Lock(memoryview(b"pw")),
    )
    for message in refused:
        assert ours.ask(message, far) == FAILURE
    assert len(ours.list()) == 1
    assert ours.sign(private, caller=far) != FAILURE


# --- removing ------------------------------------------------------------------------


def test_removing(ours: Agent) -> None:
    private = new()
    blob = keys.encode(private.public)
    assert ours.ask(agent.RemoveIdentity(blob)) == FAILURE
    ours.add(private)
    assert ours.ask(agent.RemoveIdentity(blob)) == SUCCESS
    assert ours.ask(agent.RemoveAll()) == SUCCESS
    ours.add(private)
    assert ours.ask(agent.RemoveAllV1()) == SUCCESS
    assert ours.list() == ()


# --- PKCS#11 modules -----------------------------------------------------------------


def certify(private: Private, *, signed: bool = True) -> bytes:
    authority = Host()
    made = certificates.Certificate(
        nonce=b"n" * 32, public=private.public, signature_key=authority.blob
    )
    sign = authority.key.sign if signed else lambda data: bytes(64)
    signed_one = certificates.sign(made, lambda data: signatures.encode("ssh-ed25519", sign(data)))
    return certificates.encode(signed_one)


class Module:
    """Two keys that a module has; what the door asks of whoever loads modules."""

    def __init__(self, library: Path) -> None:
        self.path = str(library)
        library.touch()
        self.keys = [one for one in (new(), new()) if isinstance(one, PrivateEd25519)]
        self.loaded: list[tuple[str, bytes]] = []
        self.released: list[str] = []

    def load(self, path: str, pin: Secret) -> list[Provided]:
        self.loaded.append((path, bytes(pin.view)))
        return [self.provided(private, f"0{at}") for at, private in enumerate(self.keys)]

    def provided(self, private: PrivateEd25519, label: str) -> Provided:
        def sign(mechanism: Mechanism, data: Input) -> bytes:
            assert isinstance(data, Message)
            seed = bytes(private.seed)
            return ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(data.data)

        return Provided(private.public, label, sign, lambda: self.released.append(label))

    def add(self, *constrained: Any, path: str = "") -> agent.AddSmartcardKeyConstrained:
        pin = memoryview(b"1234")
        return agent.AddSmartcardKeyConstrained(path or self.path, pin, constrained)

    @property
    def blobs(self) -> list[bytes]:
        return [keys.encode(private.public) for private in self.keys]


@pytest.fixture
def module(ours: Agent, tmp_path: Path) -> Module:
    found = Module(tmp_path / "module.so")
    ours.door.load = found.load
    ours.door.options = Options(providers=f"{tmp_path}/*")
    return found


def test_a_module_is_loaded_used_and_gone(ours: Agent, module: Module) -> None:
    assert ours.ask(agent.AddSmartcardKey(module.path, memoryview(b"1234"))) == SUCCESS
    assert module.loaded == [(module.path, b"1234")]
    assert [(each.key_blob, each.comment) for each in ours.list()] == [
        (module.blobs[0], b"00"),
        (module.blobs[1], b"01"),
    ]
    answer = agent.decode(ours.sign(module.keys[1]))
    assert isinstance(answer, agent.SignResponse)
    signatures.verify(module.keys[1].public, answer.signature, b"data")
    assert ours.ask(agent.RemoveSmartcardKey(module.path, memoryview(b""))) == SUCCESS
    assert ours.list() == ()
    assert module.released == ["00", "01"]
    assert ours.ask(agent.RemoveSmartcardKey(module.path, memoryview(b""))) == SUCCESS
    assert ours.ask(agent.RemoveSmartcardKey("a\0b", memoryview(b""))) == SUCCESS


def test_keys_of_a_module_that_are_there_stay_as_they_are(ours: Agent, module: Module) -> None:
    ours.add(module.keys[0], comment=b"from a file")
    assert ours.ask(module.add()) == SUCCESS
    assert [each.comment for each in ours.list()] == [b"from a file", b"01"]
    assert module.released == ["00"], "nobody needs it"
    assert ours.ask(module.add()) == FAILURE
    assert "no key that SSH can use" in ours.trail.records[-1].what  # type: ignore[attr-defined]
    assert ours.ask(agent.RemoveSmartcardKey(module.path, memoryview(b""))) == SUCCESS
    assert [each.comment for each in ours.list()] == [b"from a file"]


def test_constraints_hold_for_every_key_of_a_module(ours: Agent, module: Module) -> None:
    assert ours.ask(module.add(constraints.Confirm(), constraints.Lifetime(10))) == SUCCESS
    for script, allowed in (([True], True), ([False], False), ([], False)):
        for private in module.keys:
            ours.people.script = list(script)
            assert (ours.sign(private) != FAILURE) is allowed
    ours.clock.advance(11)
    assert ours.list() == ()
    assert module.released == ["00", "01"]


def test_certificates_beside_the_keys_of_a_module(ours: Agent, module: Module) -> None:
    good = certify(module.keys[0])
    others = certify(new()), module.blobs[1]
    associated = constraints.AssociatedCerts(certs_only=False, certs=(good, *others))
    assert ours.ask(module.add(associated)) == SUCCESS
    assert [each.key_blob for each in ours.list()] == [module.blobs[0], good, module.blobs[1]]
    assert ours.ask(agent.RemoveIdentity(module.blobs[0])) == SUCCESS
    assert module.released == [], "its certificate is still offered"
    assert ours.ask(agent.SignRequest(good, b"data", agent.SignFlag(0))) != FAILURE
    assert ours.ask(agent.RemoveIdentity(good)) == SUCCESS
    assert module.released == ["00"]


def test_a_forged_certificate_beside_the_keys_of_a_module(ours: Agent, module: Module) -> None:
    for bad in (certify(module.keys[0], signed=False), b"neither a key nor a certificate"):
        associated = constraints.AssociatedCerts(certs_only=False, certs=(bad,))
        assert ours.ask(module.add(associated)) == FAILURE
    assert module.loaded == []


def test_only_certificates_of_a_module(ours: Agent, module: Module) -> None:
    good = certify(module.keys[0])
    associated = constraints.AssociatedCerts(certs_only=True, certs=(good,))
    assert ours.ask(module.add(associated)) == SUCCESS
    assert [each.key_blob for each in ours.list()] == [good]
    assert module.released == ["01"]


def test_which_modules_may_be_loaded(ours: Agent, module: Module, tmp_path: Path) -> None:
    assert ours.ask(module.add(path="/nowhere.so")) == FAILURE
    ours.door.options = Options(providers="/usr/lib/*")
    link = tmp_path / "link.so"
    link.symlink_to(module.path)
    assert ours.ask(module.add()) == FAILURE
    ours.door.options = Options(providers=f"{link}")
    assert ours.ask(module.add(path=str(link))) == FAILURE, "the real path decides"
    assert ours.ask(module.add(constraints.SkProvider("internal"))) == FAILURE
    assert module.loaded == []


def test_a_far_client_has_no_module_loaded(ours: Agent, module: Module) -> None:
    far = ours.connect()
    assert ours.ask(Host().bind(b"s", True), far) == SUCCESS
    assert ours.ask(module.add(), far) == FAILURE
    unproven = ours.connect()
    assert ours.ask(agent.Extension(agent.SESSION_BIND, b"?"), unproven) == EXTENSION_FAILURE
    assert ours.ask(module.add(), unproven) == FAILURE
    assert module.loaded == []
    ours.door.options = replace(ours.door.options, remote_providers=True)
    assert ours.ask(module.add(), far) == SUCCESS


def test_an_agent_that_loads_no_modules_says_so(ours: Agent, tmp_path: Path) -> None:
    library = tmp_path / "module.so"
    library.touch()
    ours.door.options = Options(providers=f"{tmp_path}/*")
    assert ours.ask(agent.AddSmartcardKey(str(library), memoryview(b""))) == FAILURE
    assert "loads no PKCS#11 modules" in ours.trail.records[-1].what  # type: ignore[attr-defined]


# --- consent -------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "allowed"), [([True], True), ([False], False), ([], False)])
def test_a_key_to_confirm(ours: Agent, script: list[bool | bytes], allowed: bool) -> None:
    private = new()
    ours.add(private, constraints.Confirm(), comment=b"precious")
    ours.people.script = script
    assert (ours.sign(private) != FAILURE) is allowed
    question = ours.people.asked[0].text.splitlines()
    fingerprint = keys.fingerprint(keys.encode(private.public))
    assert question[:2] == [
        "Allow use of key precious?",
        f"Key fingerprint {fingerprint}.",
    ]
    assert (ours.trail.of(Operation)[-1].result == "ok") is allowed  # type: ignore[attr-defined]


# --- lock ----------------------------------------------------------------------------


def test_a_locked_agent(ours: Agent) -> None:
    private = new()
    ours.add(private)
    assert ours.ask(agent.Lock(memoryview(b""))) == FAILURE
    assert ours.ask(agent.Unlock(memoryview(b"pw"))) == FAILURE
    assert ours.ask(agent.Lock(memoryview(b"pw"))) == SUCCESS
    assert ours.ask(agent.Lock(memoryview(b"pw"))) == FAILURE
    assert ours.list() == ()
    assert ours.sign(private) == FAILURE
    assert ours.ask(agent.RemoveAll()) == FAILURE
    assert ours.ask(agent.Extension("query")) == FAILURE
    assert ours.ask(Host().bind(b"s", False), ours.connect()) == SUCCESS
    for expected in (0.1, 0.2, 0.3):
        assert ours.ask(agent.Unlock(memoryview(b"bad"))) == FAILURE
        assert ours.delays[-1] == pytest.approx(expected)
    assert ours.ask(agent.Unlock(memoryview(b"pw"))) == SUCCESS
    assert len(ours.list()) == 1


# --- session-bind --------------------------------------------------------------------


class Host:
    """A server that proves who it is."""

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.blob = keys.encode(keys.Ed25519(self.key.public_key().public_bytes_raw()))

    def bind(self, session_id: bytes, forwarding: bool, signed: bytes | None = None) -> Any:
        proof = signatures.encode("ssh-ed25519", self.key.sign(signed or session_id))
        binding = agent.SessionBind(self.blob, session_id, proof, forwarding)
        return agent.Extension(agent.SESSION_BIND, agent.encode_session_bind(binding))

    def hop(self, name: str, user: str = "") -> constraints.Hop:
        return constraints.Hop(user, name, (constraints.HopKey(self.blob, False),))


HERE = constraints.Hop("", "")


def to(*hops: tuple[constraints.Hop, constraints.Hop]) -> constraints.RestrictDestination:
    pairs = tuple(constraints.DestinationConstraint(*hop) for hop in hops)
    return constraints.RestrictDestination(pairs)


def login(private: Private, session_id: bytes, host: Host | None, user: str = "root") -> bytes:
    method = userauth.HOSTBOUND if host else userauth.PUBLICKEY
    blob = keys.encode(private.public)
    request = userauth.UserAuth(
        session_id, user, userauth.SERVICE, method, "ssh-ed25519", blob, host.blob if host else None
    )
    return userauth.encode(request)


def test_binding(ours: Agent) -> None:
    host, caller = Host(), ours.connect()
    assert ours.ask(host.bind(b"one", True), caller) == SUCCESS
    assert ours.ask(host.bind(b"one", True), caller) == SUCCESS  # the same again
    assert ours.ask(Host().bind(b"one", True), caller) == EXTENSION_FAILURE  # another host
    assert ours.ask(host.bind(b"two", False), caller) == SUCCESS
    assert ours.ask(host.bind(b"three", False), caller) == EXTENSION_FAILURE  # bound to log in
    assert ours.ask(host.bind(b"x", False, signed=b"y"), ours.connect()) == EXTENSION_FAILURE


def test_no_more_bindings_than_sixteen(ours: Agent) -> None:
    host = Host()
    answers = [ours.ask(host.bind(b"%d" % n, True)) for n in range(18)]
    assert answers == [SUCCESS] * MAX_BINDINGS + [EXTENSION_FAILURE] * 2


def test_a_key_for_one_host_is_good_there_and_hidden_beyond(ours: Agent) -> None:
    host, other, private = Host(), Host(), new()
    ours.add(private, to((HERE, host.hop("h", "root"))))
    assert ours.sign(private, login(private, b"s", None)) == FAILURE  # unbound
    there = ours.connect()
    ours.ask(host.bind(b"s", False), there)
    assert ours.sign(private, login(private, b"s", host), caller=there) != FAILURE
    for wrong in (
        login(private, b"t", host),
        login(private, b"s", other),
        login(private, b"s", host, "guest"),
        b"anything else",
        sshsig.to_be_signed("git", "sha512", b"x"),
    ):
        assert ours.sign(private, wrong, caller=there) == FAILURE
    elsewhere, beyond, failed = ours.connect(), ours.connect(), ours.connect()
    ours.ask(other.bind(b"s", False), elsewhere)
    ours.ask(host.bind(b"s", True), beyond)
    ours.ask(host.bind(b"s", False, signed=b"wrong"), failed)
    assert len(ours.list()) == len(ours.list(there)) == 1
    assert ours.list(elsewhere) == ours.list(beyond) == ours.list(failed) == ()


def test_a_key_that_may_go_one_hop_further(ours: Agent) -> None:
    near, far, private = Host(), Host(), new()
    ours.add(private, to((HERE, near.hop("near")), (near.hop("near"), far.hop("far"))))
    through = ours.connect()
    ours.ask(near.bind(b"1", True), through)
    assert len(ours.list(through)) == 1
    ours.ask(far.bind(b"2", False), through)
    assert ours.sign(private, login(private, b"2", far), caller=through) != FAILURE
    # Over more than one hop, the login must name its host key.
    assert ours.sign(private, login(private, b"2", None), caller=through) == FAILURE


# --- extensions and nonsense ---------------------------------------------------------


def test_the_query_tells_what_there_is(ours: Agent) -> None:
    answer = agent.decode(ours.ask(agent.Extension("query")))
    assert isinstance(answer, agent.ExtensionResponse)
    assert agent.decode_query_answer(answer.contents) == (agent.SESSION_BIND,)
    assert ours.ask(agent.Extension("nope@example.com")) == FAILURE
    assert ours.raw(b"\x1b") == FAILURE


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 6, 7, 8, 12, 14, 24, 28, 29, 30, 102, 200, 255])
def test_numbers_that_nobody_may_send_fail(ours: Agent, number: int) -> None:
    assert ours.raw(bytes([number])) == FAILURE


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(frame: bytes) -> None:
    ours = Agent()
    try:
        assert ours.raw(frame or b"\0")[0] in (5, 6, 12, 14, 28, 29)
    finally:
        ours.store.close()


def test_every_length_in_a_request_may_lie(ours: Agent) -> None:
    private = new()
    ours.add(private)
    frame = bytearray(
        agent.encode(agent.SignRequest(keys.encode(private.public), b"data", agent.SignFlag(0)))
    )
    for at in range(1, len(frame) - 4):
        for length in (0, 2**31 - 1, 2**31, 2**32 - 1):
            lying = bytes(frame[:at]) + struct.pack(">I", length) + bytes(frame[at + 4 :])
            assert ours.raw(lying)[0] in (5, 14)


def test_every_error_has_a_name_here() -> None:
    for table in (FAILURES, EXTENSION_FAILURES):
        assert leaves(KeyholmError) <= table.keys()


def test_who_lists_or_signs_is_looked_up_while_the_request_is_worked_on(ours: Agent) -> None:
    looked_up: list[Peer] = []
    ours.door.foresee = lambda peer, connection: looked_up.append(peer)
    key = new()
    ours.add(key)
    listing = agent.encode(agent.RequestIdentities())
    signing = agent.encode(agent.SignRequest(keys.encode(key.public), b"data", agent.SignFlag(0)))
    query = agent.encode(agent.Extension(agent.QUERY, b""))
    for requests, times in (([query], 0), ([signing], 1), ([query, listing, signing, listing], 1)):
        looked_up.clear()
        mine, theirs = socket.socketpair()
        with mine, theirs:
            mine.sendall(b"".join(map(text, requests)))
            mine.shutdown(socket.SHUT_WR)
            peer = Peer(os.getuid(), os.getgid(), os.getpid())
            ours.door.serve(Connection(theirs, peer, Buffer(), Limits(frame=1 << 16)))
        assert looked_up == [peer] * times


def test_ten_thousand_keys_are_listed_from_one_answer(ours: Agent) -> None:
    for _ in range(300):
        ours.add(new())
    first = ours.ask(agent.RequestIdentities())
    begun = time.process_time()
    for _ in range(100):
        assert ours.ask(agent.RequestIdentities()) is first
    assert time.process_time() - begun < 5


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def test_a_certificate_that_its_authority_did_not_sign_is_refused(ours: Agent) -> None:
    private, blob = new(), b""
    assert isinstance(private, PrivateEd25519)
    for signed, answer in ((False, FAILURE), (True, SUCCESS)):
        blob = certify(private, signed=signed)
        assert ours.add(PrivateWithCertificate(blob, private)) == answer
    assert [identity.key_blob for identity in ours.list()] == [blob]
