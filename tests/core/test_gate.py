"""The gate decides, records, and only then gives; and it alone uses and manages keys."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import keyholm
from keyholm.core import actions, store
from keyholm.core.audit.records import Management, Operation, Outcome, Session
from keyholm.core.caller import Caller, Door, Peer, Process, Via
from keyholm.core.destination import Binding
from keyholm.core.errors import (
    AbilityMissing,
    ConsentDenied,
    KeyholmError,
    KeyNotFound,
    ManagementForbidden,
    NoPrompter,
    NotTheOwner,
    PolicyForbids,
    TrailUnavailable,
)
from keyholm.core.gate import Use
from keyholm.core.mechanisms import Digest, EdDsa, Hash, Message
from keyholm.core.model import Algorithm, Key
from keyholm.core.policy import OPEN, Policy, parse
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import Handover
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software import keys as software
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire.ssh import sshsig, userauth
from keyholm.wire.ssh.keys import encode

OWNER = 1000
MESSAGE = Message(b"hello")
ED = EdDsa()


class House:
    """A gate over the memory store, with its trail in a list and its people in a script."""

    def __init__(self) -> None:
        self.trail = ListTrail()
        self.people = ScriptedPrompters()
        self.clock = Clock()
        self.store = MemoryStore(owner=OWNER, clock=self.clock)
        self.token = self.store.token
        self.gate = gate_over([self.store], self.trail, self.people, self.clock)

    def caller(self, uid: int = OWNER, door: Door = Door.AGENT, start: int = 7) -> Caller:
        return Caller(door, Peer(uid, uid, 42), lambda: Process(pid=42, start=start))

    def key(self, policy: Policy = OPEN, *, lifetime: float | None = None) -> Key:
        private = software.generate(Algorithm.ED25519)
        action = actions.ImportKey(self.token, private, Handover("k", lifetime=lifetime), policy)
        made = self.gate.manage(self.caller(), action)
        assert isinstance(made, Key)
        return made

    def last(self, kind: type) -> Any:
        return self.trail.of(kind)[-1]


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.store.close()


def login(
    key: Key, session_id: bytes = b"s" * 32, host_key: bytes | None = None, user: str = "root"
) -> Message:
    method = userauth.HOSTBOUND if host_key else userauth.PUBLICKEY
    request = userauth.UserAuth(
        session_id, user, userauth.SERVICE, method, "ssh-ed25519", key.blob, host_key
    )
    return Message(userauth.encode(request))


# --- use -----------------------------------------------------------------------------


def test_a_use_is_recorded_before_it_is_given(house: House) -> None:
    key = house.key()
    signature = house.gate.sign(house.caller(), key, ED, MESSAGE)
    record = house.last(Operation)
    assert len(signature) == 64
    assert (record.op, record.mechanism, record.key, record.result) == (
        "sign",
        "eddsa",
        key.id,
        "ok",
    )
    assert record.input_length == len(MESSAGE.data)
    assert MESSAGE.data.hex() not in repr(record)


def test_what_cannot_be_recorded_is_not_given(house: House) -> None:
    key = house.key()
    caller = house.caller()
    house.gate.sign(caller, key, ED, MESSAGE)
    house.trail.full = True
    with pytest.raises(TrailUnavailable):
        house.gate.sign(caller, key, ED, MESSAGE)


def test_each_record_tells_what_its_own_message_was_for(house: House) -> None:
    key, caller = house.key(), house.caller()
    told = []
    for message in (login(key), login(key, user="www"), MESSAGE):
        house.gate.sign(caller, key, ED, message)
        record = house.last(Operation)
        told.append((record.purpose, record.user))
    assert told == [("ssh-userauth", "root"), ("ssh-userauth", "www"), ("", "")]


def test_one_session_record_for_a_connection(house: House) -> None:
    key, caller = house.key(), house.caller()
    before = len(house.trail.of(Session))
    for _ in range(5):
        house.gate.sign(caller, key, ED, MESSAGE)
    assert len(house.trail.of(Session)) == before + 1
    assert {record.session for record in house.trail.of(Operation)} == {  # type: ignore[attr-defined]
        house.trail.records.index(house.last(Session)) + 1
    }


def test_another_uid_has_no_such_key(house: House) -> None:
    key = house.key()
    stranger = house.caller(uid=OWNER + 1)
    assert house.gate.keys(stranger) == ()
    with pytest.raises(KeyNotFound):
        house.gate.sign(stranger, key, ED, MESSAGE)
    assert house.last(Operation).error == "KeyNotFound"


def test_what_one_uid_may_use_says_nothing_of_another(house: House) -> None:
    key = house.key()
    house.gate.sign(house.caller(), key, ED, MESSAGE)
    with pytest.raises(KeyNotFound):
        house.gate.sign(house.caller(uid=OWNER + 1), key, ED, MESSAGE)


def test_what_a_rule_lets_one_connection_do_says_nothing_of_another(house: House) -> None:
    key = house.key(parse('doors = ["agent"]'))
    house.gate.sign(house.caller(), key, ED, MESSAGE)
    with pytest.raises(PolicyForbids):
        house.gate.sign(house.caller(door=Door.PKCS11), key, ED, MESSAGE)


def test_a_key_that_was_open_to_all_is_closed_to_new_connections_too(house: House) -> None:
    key = house.key()
    house.gate.sign(house.caller(), key, ED, MESSAGE)
    house.token.set_policy(key, parse('doors = ["pkcs11"]'))
    with pytest.raises(PolicyForbids):
        house.gate.sign(house.caller(), key, ED, MESSAGE)


def test_who_uses_a_key_that_is_open_to_all_is_known_before_its_signature_leaves(
    house: House,
) -> None:
    key = house.key()
    house.gate.sign(house.caller(start=8), key, ED, MESSAGE)
    house.gate.sign(house.caller(start=9), key, ED, MESSAGE)
    assert [house.trail.of(Session)[-2:][n].start for n in (0, 1)] == [8, 9]  # type: ignore[attr-defined]


def test_a_refusal_is_recorded_with_its_rule_and_sentence(house: House) -> None:
    key = house.key(parse('doors = ["pkcs11"]'))
    with pytest.raises(PolicyForbids, match="agent door"):
        house.gate.sign(house.caller(), key, ED, MESSAGE)
    record = house.last(Operation)
    assert (record.result, record.rule, record.error) == ("refused", "doors", "PolicyForbids")
    assert "agent door" in record.what


def test_a_decision_is_remembered_until_the_policy_changes(house: House) -> None:
    key, caller = house.key(), house.caller()
    house.gate.sign(caller, key, ED, MESSAGE)
    changed = house.gate.manage(caller, actions.SetPolicy(key, parse('doors = ["dbus"]')))
    assert isinstance(changed, Key)
    for again in (key, changed):
        with pytest.raises(PolicyForbids):
            house.gate.sign(caller, again, ED, MESSAGE)


def test_a_bound_key_signs_its_namespace_and_nothing_else(house: House) -> None:
    key, caller = house.key(parse('namespaces = ["git"]')), house.caller()
    house.gate.sign(caller, key, ED, Message(sshsig.to_be_signed("git", "sha512", b"x")))
    assert house.last(Operation).namespace == "git"
    others = (
        Message(sshsig.to_be_signed("file", "sha512", b"x")),
        login(key),
        Message(b"anything"),
        Digest(Hash.SHA256, bytes(32)),
    )
    for other in others:
        with pytest.raises(PolicyForbids):
            house.gate.sign(caller, key, ED, other)


def test_a_key_with_destinations_wants_a_bound_connection(house: House) -> None:
    host = house.key()
    policy = parse(f'destinations = [{{host = "h", keys = ["{house_fingerprint(host)}"]}}]')
    key = house.key(policy)
    with pytest.raises(PolicyForbids, match="not proved"):
        house.gate.sign(house.caller(), key, ED, login(key))
    bound = house.caller()
    bound.bindings.append(Binding(host.blob, b"s" * 32, is_forwarding=False))
    house.gate.sign(bound, key, ED, login(key, host_key=host.blob))
    with pytest.raises(PolicyForbids, match="another session"):
        house.gate.sign(bound, key, ED, login(key, session_id=b"t" * 32))


def house_fingerprint(key: Key) -> str:
    from keyholm.wire.ssh.keys import fingerprint

    return fingerprint(encode(key.public))


def test_consent_is_asked_for_each_use(house: House) -> None:
    key, caller = house.key(parse('confirm = "each"')), house.caller()
    house.people.script = [True, False]
    house.gate.sign(caller, key, ED, MESSAGE)
    assert house.last(Operation).consent == "confirm:script"
    with pytest.raises(ConsentDenied):
        house.gate.sign(caller, key, ED, MESSAGE)
    with pytest.raises(NoPrompter):
        house.gate.sign(caller, key, ED, MESSAGE)
    assert "Key fingerprint SHA256:" in house.people.asked[0].text


def test_the_uses_of_a_key_run_out(house: House) -> None:
    key, caller = house.key(Policy(max_uses=2)), house.caller()
    house.gate.sign(caller, key, ED, MESSAGE)
    house.gate.sign(caller, key, ED, MESSAGE)
    with pytest.raises(PolicyForbids, match="2 uses"):
        house.gate.sign(caller, key, ED, MESSAGE)


def test_a_rate_is_kept(house: House) -> None:
    key, caller = house.key(parse("rate = {per_minute = 60, burst = 2}")), house.caller()
    house.gate.sign(caller, key, ED, MESSAGE)
    house.gate.sign(caller, key, ED, MESSAGE)
    with pytest.raises(PolicyForbids):
        house.gate.sign(caller, key, ED, MESSAGE)
    house.clock.advance(1)
    house.gate.sign(caller, key, ED, MESSAGE)


def test_a_key_whose_time_is_over_is_gone(house: House) -> None:
    key, caller = house.key(lifetime=10), house.caller()
    house.gate.sign(caller, key, ED, MESSAGE)
    house.clock.advance(10)
    assert house.gate.keys(caller) == ()
    with pytest.raises(KeyNotFound):
        house.gate.sign(caller, key, ED, MESSAGE)


def test_an_operation_in_parts_is_one_use(house: House) -> None:
    key, caller = house.key(), house.caller()
    operation = house.gate.begin(caller, Use(key, ED))
    for part in (b"hel", b"lo"):
        operation.update(part)
    assert operation.finish() == house.gate.sign(caller, key, ED, MESSAGE)
    with pytest.raises(KeyholmError):
        operation.finish()


def test_an_operation_that_can_never_be_allowed_is_not_begun(house: House) -> None:
    key = house.key(parse('operations = ["decrypt"]'))
    with pytest.raises(PolicyForbids):
        house.gate.begin(house.caller(), Use(key, ED))


# --- management ----------------------------------------------------------------------


def test_management_is_announced_and_its_outcome_told(house: House) -> None:
    key = house.key()
    house.gate.manage(house.caller(), actions.Destroy(key))
    announced, ended = house.last(Management), house.last(Outcome)
    assert (announced.action, announced.result, announced.key) == ("destroy", "intent", key.id)
    assert house.trail.records[ended.intent - 1] is announced
    assert ended.result == "ok"


def test_a_failed_act_is_told_as_well(house: House) -> None:
    key = house.key()
    house.gate.manage(house.caller(), actions.Destroy(key))
    with pytest.raises(KeyNotFound):
        house.gate.manage(house.caller(), actions.Destroy(key))
    assert house.last(Outcome).error == "KeyNotFound"


def forwarded(house: House) -> Caller:
    caller = house.caller()
    caller.bindings.append(Binding(b"host", b"session", is_forwarding=True))
    return caller


def relayed(house: House) -> Caller:
    caller = house.caller()
    caller.relayed = True
    return caller


@pytest.mark.parametrize("way", [forwarded, relayed])
def test_keys_are_not_managed_from_afar(house: House, way: Callable[[House], Caller]) -> None:
    key = house.key()
    with pytest.raises(ManagementForbidden):
        house.gate.manage(way(house), actions.Destroy(key))
    assert house.gate.keys(house.caller()) == (key,)
    assert house.last(Management).result == "refused"


def test_who_relays_logs_in_as_the_user_only(house: House) -> None:
    with Secret.of(b"1234") as pin:
        officer = actions.LogIn(house.token, Role.OFFICER, pin)
        with pytest.raises(ManagementForbidden):
            house.gate.manage(relayed(house), officer)
        user = actions.LogIn(house.token, Role.USER, pin)
        with pytest.raises(AbilityMissing):  # this token has no logins; nothing else is amiss
            house.gate.manage(relayed(house), user)


def test_who_cannot_be_known_reaches_the_memory_store_only(house: House) -> None:
    unknown = house.caller(start=0)
    assert unknown.via is Via.UNBOUND
    key = house.key()
    with pytest.raises(ManagementForbidden):
        house.gate.manage(unknown, actions.Rename(key, "other"))
    house.gate.manage(unknown, actions.Destroy(key))


def test_only_the_owner_and_root_manage_a_token(house: House) -> None:
    key = house.key()
    house.token.accepted_uids = frozenset({OWNER + 1})
    guest = house.caller(uid=OWNER + 1)
    house.gate.sign(guest, key, ED, MESSAGE)
    with pytest.raises(NotTheOwner):
        house.gate.manage(guest, actions.Destroy(key))
    house.gate.manage(house.caller(uid=0), actions.Destroy(key))


def test_a_token_without_the_ability_says_so(house: House) -> None:
    with pytest.raises(AbilityMissing, match="unlocks"):
        house.gate.manage(house.caller(uid=0), actions.Lock(house.token))


# --- the shape -----------------------------------------------------------------------

GATE = ("core/gate.py", "core/performing.py")
ABILITIES = {
    name
    for kind in vars(store).values()
    if isinstance(kind, type)
    for name in getattr(kind, "__abstractmethods__", ())
}
# Facts about a token, which anybody may ask for.
FACTS = {
    "locked",
    "guarded",
    "slots",
    "policy_of",
    "objects",
    "pin_state",
    "application_login",
    "legacy",
    "info",
    "mechanisms",
    "attributes_of",  # nothing secret is among them
}


def test_only_the_gate_calls_an_ability() -> None:
    """A call of a method that has an ability's name is listed, wherever it is; those that are
    said to something else than a token stand in `OTHERS`, and everybody who adds one there
    has looked at it."""
    root = Path(keyholm.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        place = path.relative_to(root)
        if place.parts[0] in ("stores", "wire", "testing", "attestation") or str(place) in GATE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ABILITIES - FACTS:
                receiver = re.sub(r"\(.*", "()", ast.unparse(node.func.value))
                found.add(f"{place.as_posix()}: {receiver}.{node.func.attr}")
    assert found <= OTHERS, found - OTHERS


OTHERS = {
    "core/audit/folder.py: os.rename",
    "core/audit/folder.py: self.rename",
    "core/audit/segments.py: self._folder.rename",
    "core/audit/pool.py: folder.rename",
    # The trail signs its checkpoints with a key of its own.
    "core/audit/note.py: Ed25519PublicKey.from_public_bytes().verify",
    "core/audit/note.py: self._key.sign",
    "core/audit/note.py: signer.sign",
    "core/destination.py: certificates.verify",
    # ssh-sk-helper, which the memory store has asked.
    "daemon/steward/work.py: self._keys.sign",
    "doors/control/keys.py: request.gate.sign",
    "doors/ssh_agent/server.py: self.gate.sign",
    "doors/pkcs11/handlers/using.py: client.gate.sign",
    "doors/pkcs11/handlers/keys.py: client.gate.decapsulate",
    "doors/pkcs11/handlers/keys.py: client.gate.derive",
    "doors/pkcs11/handlers/keys.py: client.gate.encapsulate",
    "doors/pkcs11/handlers/keys.py: client.gate.unwrap",
    "doors/pkcs11/handlers/keys.py: client.gate.wrap",
    "doors/ssh_agent/server.py: signatures.verify",
    "doors/ssh_agent/adding.py: certificates.verify",
    "doors/ssh_agent/lock.py: Scrypt().derive",
    "doors/ssh_agent/lock.py: Scrypt().verify",
    "cli/unlock.py: client.unlock",
    "cli/lock.py: client.lock",
}


def test_every_action_has_a_performer() -> None:
    from keyholm.core.performing import PERFORM

    assert set(PERFORM) == set(actions.Action.__args__)
