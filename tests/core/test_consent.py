"""Asking a human: what is said, and for whom an answer is remembered."""

import pytest
from msgspec.structs import replace
from tests.core.policies import GIT, HOSTS, KEY, PYTHON, SSH

from keyholm.core.caller import Caller, Door, Executable, Peer, Process
from keyholm.core.consent import Consent, quoted
from keyholm.core.destination import Binding
from keyholm.core.errors import ConsentDenied, NoPrompter
from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.core.policy import ConsentNeeded
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import HasPins, PinState
from keyholm.testing.fakes import Clock, ScriptedPrompters
from keyholm.wire.ssh import keys, userauth
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

FOR_A_WHILE = ConsentNeeded(5)
PUBLIC = keys.decode(KEY)
MINE = Key(
    KeyId(keys.key_id(PUBLIC)), Place("memory", "main", "1"), PUBLIC, KEY, "mine", Origin.GENERATED
)
BINDING = Binding(HOSTS[1], b"s" * 32, is_forwarding=False)


class Room:
    """Somebody who answers as a script says, and a clock. Contract fakes, both."""

    def __init__(self, *script: bool) -> None:
        self.people = ScriptedPrompters(list(script))
        self.clock = Clock()
        self.consent = Consent(self.people, clock=self.clock)

    def obtain(
        self, caller: Caller, needed: ConsentNeeded = FOR_A_WHILE, context: object = None
    ) -> str:
        return self.consent.obtain(caller, MINE, needed, context)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        return self.people.asked[-1].text


def caller(program: Executable | None, pid: int = 7, *bindings: Binding) -> Caller:
    process = Process(pid=pid, start=1, executable=program)
    return Caller(Door.AGENT, Peer(1000, 1000, pid), lambda: process, bindings=list(bindings))


def test_an_answer_is_remembered_for_the_program_and_the_time() -> None:
    room = Room(True, True)
    assert room.obtain(caller(SSH)) == "confirm:script"
    room.clock.advance(299)
    assert room.obtain(caller(SSH, 8)) == "remembered"
    room.clock.advance(1)
    assert room.obtain(caller(SSH)) == "confirm:script"


def test_each_use_is_asked_for_where_the_policy_says_so() -> None:
    room = Room(True, True)
    for _ in range(2):
        assert room.obtain(caller(SSH), ConsentNeeded()) == "confirm:script"


@pytest.mark.parametrize(
    "other",
    [
        caller(GIT),
        caller(replace(SSH, inode=99)),
        caller(None),
        caller(SSH, 7, BINDING),
        caller(SSH, 7, replace(BINDING, is_forwarding=True)),
    ],
)
def test_who_agreed_to_one_program_is_asked_about_another(other: Caller) -> None:
    room = Room(True, False)
    room.obtain(caller(SSH))
    with pytest.raises(ConsentDenied):
        room.obtain(other)


def test_who_agreed_to_one_host_is_asked_about_another() -> None:
    room = Room(True, False)
    room.obtain(caller(SSH, 7, BINDING))
    with pytest.raises(ConsentDenied):
        room.obtain(caller(SSH, 7, replace(BINDING, host_key=HOSTS[2])))


def test_who_agreed_to_one_script_is_asked_about_another() -> None:
    room = Room(True, False)
    room.obtain(caller(PYTHON, 7))
    assert room.obtain(caller(PYTHON, 7)) == "remembered"
    with pytest.raises(ConsentDenied):
        room.obtain(caller(PYTHON, 8))


def test_a_program_that_cannot_be_known_is_asked_about_each_time() -> None:
    room = Room(True, True)
    for _ in range(2):
        assert room.obtain(caller(None)) == "confirm:script"


def test_a_refusal_is_not_remembered_and_a_lock_forgets() -> None:
    room = Room(False, True, True)
    with pytest.raises(ConsentDenied):
        room.obtain(caller(SSH))
    room.obtain(caller(SSH))
    room.consent.forget()
    assert room.obtain(caller(SSH)) == "confirm:script"
    with pytest.raises(NoPrompter):
        Room().obtain(caller(SSH))


def test_the_question_says_who_wants_what_where() -> None:
    room = Room(True, True, True)
    login = UserAuth(b"s", "deploy", userauth.SERVICE, userauth.PUBLICKEY, "ssh-ed25519", KEY)
    room.obtain(caller(SSH, 7, BINDING), ConsentNeeded(0, "h1"), login)
    assert room.text.splitlines() == [
        "Allow use of key mine?",
        f"Key fingerprint {keys.fingerprint(KEY)}.",
        "Asked by /usr/bin/ssh (process 7, uid 1000).",
        "To log in as deploy.",
        f"The connection is for h1, host key {keys.fingerprint(HOSTS[1])}.",
    ]
    room.obtain(caller(None), ConsentNeeded(), SshSig("git", "sha512", b"d" * 64))
    assert "Asked by an unknown program (process 7, uid 1000).\nTo sign for git." in room.text
    room.obtain(caller(SSH), ConsentNeeded())
    assert room.text.endswith("What it signs cannot be told.")


def test_text_of_others_stays_on_its_line() -> None:
    assert quoted("a\nAsked by nobody") == "a\N{REPLACEMENT CHARACTER}Asked by nobody"
    assert quoted("\x1b[2J\u202e") == "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    assert len(quoted("x" * 10_000)) == 128


class Pins(HasPins):
    """A contract fake: a token whose PIN was wrong before."""

    store, name, label, owner, accepted_uids = "disk", "card", "card", 1000, frozenset[int]()
    application_login, legacy = False, False
    left = 2

    def keys(self) -> list[Key]:
        return []

    def pin_state(self, role: Role) -> PinState:
        return PinState(True, self.left, 10)

    def check_pin(self, role: Role, pin: Secret) -> None:
        raise NotImplementedError

    def set_pin(self, role: Role, old: Secret, new: Secret) -> None:
        raise NotImplementedError

    def init_pin(self, new: Secret) -> None:
        raise NotImplementedError

    def init_token(self, officer_pin: Secret, label: str) -> None:
        raise NotImplementedError


def test_who_is_asked_for_a_pin_reads_how_many_tries_are_left() -> None:
    token, people = Pins(), ScriptedPrompters([b"1234", b"1234"])
    consent = Consent(people)
    for left, told in ((2, 2), (10, None)):
        token.left = left
        consent.passphrase(caller(SSH), token, MINE).close()
        assert (people.asked[-1].prompt, people.asked[-1].attempts_left) == ("PIN:", told)
