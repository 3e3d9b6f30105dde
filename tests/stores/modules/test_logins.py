"""PINs: whose login it is, what reaches the token, and what it costs."""

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.stores.modules.card import TRIES, Card, Desk

from keyholm.core.audit.records import Operation
from keyholm.core.caller import Caller, Door, Peer, Process
from keyholm.core.errors import (
    ConsentDenied,
    PinIncorrect,
    PinLocked,
    StoreDamaged,
    StoreFailed,
    TokenBusy,
    TokenLocked,
    TokenNotPresent,
)
from keyholm.core.mechanisms import Ecdsa, Hash, Message
from keyholm.core.model import Algorithm, Key
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import (
    Change,
    Handover,
    HasPins,
    Listener,
    PinState,
    Token,
    Unlocks,
)
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.modules.logins import MOST_WRONG, WINDOW
from keyholm.testing import samples
from keyholm.testing.fakes import ListTrail, ScriptedPrompters, gate_over

MESSAGE = Message(b"what is signed")
BY = Ecdsa(Hash.SHA256)


def sign(desk: Desk) -> bytes:
    key: Key = desk.token.keys()[0]
    signature: bytes = desk.token.sign(key, BY, MESSAGE)
    return signature


# --- one login, many programs --------------------------------------------------------


def test_the_pin_of_a_second_program_is_compared_and_not_sent(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path, application=True)
    assert desk.token.locked
    desk.pin(b"1234")
    desk.pin(b"1234")
    with pytest.raises(PinIncorrect):
        desk.pin(b"4321")
    assert desk.card.sent == [b"1234"]
    assert desk.card.tries == TRIES
    sign(desk)


def test_an_empty_pin_opens_nothing_while_another_is_logged_in(tmp_path: Path) -> None:
    """CVE-2023-40660."""
    desk = Desk(Card(), tmp_path, application=True)
    desk.pin(b"1234")
    for pin in (b"", b"123", b"123456789"):
        with pytest.raises(PinIncorrect):
            desk.pin(pin)
    assert desk.card.sent == [b"1234"]


def test_a_pin_that_it_cannot_be_costs_no_try(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    for pin in (b"", b"123", b"123456789"):
        with pytest.raises(PinIncorrect):
            desk.pin(pin)
    assert desk.card.sent == []


def test_who_guesses_has_to_wait(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path, application=True)
    desk.pin(b"1234")
    for _ in range(MOST_WRONG):
        with pytest.raises(PinIncorrect):
            desk.pin(b"4321")
    with pytest.raises(TokenBusy, match="wrong 5 times"):
        desk.pin(b"1234")
    desk.clock.now += WINDOW + 1
    desk.pin(b"1234")
    assert desk.card.sent == [b"1234"]


def test_a_lock_forgets_the_pin_and_logs_out(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.token.lock()
    assert desk.token.locked
    assert not desk.card.logged_in
    with pytest.raises(TokenLocked):
        sign(desk)
    assert desk.told[-1] is Change.LOCKED
    desk.pin(b"1234")
    assert desk.card.sent == [b"1234", b"1234"]


# --- tries ---------------------------------------------------------------------------


def test_a_wrong_pin_says_whether_it_was_the_last_but_one(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    with pytest.raises(PinIncorrect) as first:
        desk.pin(b"4321")
    assert first.value.attempts_left is None
    with pytest.raises(PinIncorrect) as second:
        desk.pin(b"4321")
    assert second.value.attempts_left == 1
    assert desk.token.pin_state(Role.USER) == PinState(True, 1, TRIES)


def test_the_last_try_is_sent_only_by_who_was_told(tmp_path: Path) -> None:
    desk = Desk(Card(tries=1), tmp_path, application=True)
    desk.human.agrees = False
    with pytest.raises(ConsentDenied):
        desk.pin(b"1234")
    assert desk.card.sent == []
    assert "one try is left" in desk.human.asked[0]
    desk.human.agrees = True
    desk.pin(b"1234")
    assert desk.card.tries == TRIES


def test_a_wrong_last_try_says_that_it_is_locked_now(tmp_path: Path) -> None:
    desk = Desk(Card(tries=1), tmp_path)
    with pytest.raises(PinLocked, match="is wrong, and it is locked now"):
        desk.pin(b"4321")
    with pytest.raises(PinLocked, match="has locked its PIN"):
        desk.pin(b"1234")
    assert desk.card.sent == [b"4321"]


# --- a worker that is begun anew -----------------------------------------------------


def test_keyholm_logs_in_again_after_the_worker_was_replaced(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.dies = True
    with pytest.raises(StoreFailed):  # what it died in is not repeated
        sign(desk)
    sign(desk)
    assert desk.card.sent == [b"1234", b"1234"]
    assert not desk.token.locked


def test_a_program_that_logged_in_itself_does_so_again(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path, application=True)
    desk.pin(b"1234")
    desk.card.dies = True
    for error in (StoreFailed, TokenLocked, TokenLocked):
        with pytest.raises(error):
            sign(desk)
    assert desk.token.locked
    assert Change.LOCKED in desk.told
    desk.pin(b"1234")
    sign(desk)


def test_the_pin_that_was_kept_is_not_sent_where_a_try_was_lost(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.dies, desk.card.tries = True, TRIES - 1
    for error in (StoreFailed, TokenLocked):
        with pytest.raises(error):
            sign(desk)
    assert desk.card.sent == [b"1234"]
    assert desk.token.locked


def test_the_pin_that_was_kept_is_sent_once_if_it_is_wrong_now(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.dies, desk.card.pin = True, b"9999"
    for error in (StoreFailed, TokenLocked, TokenLocked):
        with pytest.raises(error):
            sign(desk)
    assert desk.card.sent == [b"1234", b"1234"]


# --- a PIN for each use --------------------------------------------------------------


def test_a_key_that_wants_its_pin_each_time_gets_it_each_time(tmp_path: Path) -> None:
    desk = Desk(Card(always=True), tmp_path)
    desk.pin(b"1234")
    desk.human.pins = [b"1234", b"1234"]
    sign(desk)
    sign(desk)
    assert desk.card.sent == [b"1234"] * 3
    with pytest.raises(ConsentDenied):
        sign(desk)


def test_who_gave_the_pin_for_a_use_is_not_asked_again(tmp_path: Path) -> None:
    """OpenSC issue 1269: the PIN twice. What another thread's program gave is not found."""
    desk = Desk(Card(always=True), tmp_path, application=True)
    desk.pin(b"1234")
    desk.pin(b"1234")  # as C_Login(CKU_CONTEXT_SPECIFIC) comes
    failures: list[BaseException] = []

    def other() -> None:
        try:
            sign(desk)
        except ConsentDenied as error:
            failures.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(failures) == 1
    sign(desk)
    assert desk.card.sent == [b"1234", b"1234"]
    with pytest.raises(ConsentDenied):  # it was for one use
        sign(desk)


def test_a_wrong_pin_for_one_use_ends_what_was_begun(tmp_path: Path) -> None:
    desk = Desk(Card(always=True), tmp_path)
    desk.pin(b"1234")
    desk.human.pins = [b"4321", b"1234"]
    with pytest.raises(PinIncorrect):
        sign(desk)
    desk.card.signing = False  # its session was closed
    sign(desk)
    assert desk.card.tries == TRIES


# --- a PIN pad -----------------------------------------------------------------------


def test_a_pad_asks_itself_and_its_user_is_told(tmp_path: Path) -> None:
    desk = Desk(Card(pad=True), tmp_path)
    assert not isinstance(desk.token, HasPins | Unlocks)
    sign(desk)
    assert desk.card.sent == [None]
    assert desk.human.asked == ["Enter the PIN of card at its reader."]


# --- coming and going ----------------------------------------------------------------


def test_a_card_that_is_pulled_out_is_not_present_and_somebody_looks(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.present = False
    with pytest.raises(TokenNotPresent, match="card is not there any more"):
        sign(desk)
    assert desk.looks
    desk.card.present = True
    desk.card.begin()
    sign(desk)
    assert desk.card.sent == [b"1234", b"1234"]


def test_a_session_that_was_closed_is_opened_anew_and_the_request_made_again(
    tmp_path: Path,
) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.begin()  # the worker goes on, and the module has forgotten all
    sign(desk)
    assert desk.card.sent == [b"1234", b"1234"]


def test_what_another_use_left_behind_costs_no_login(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path, application=True)
    desk.pin(b"1234")
    desk.card.signing = True
    sign(desk)
    assert len(desk.card.sessions) == 1
    assert desk.card.sent == [b"1234"]


def test_a_key_whose_id_is_that_of_another_public_key_does_not_sign(tmp_path: Path) -> None:
    desk = Desk(Card(another=ec.generate_private_key(ec.SECP256R1())), tmp_path)
    desk.pin(b"1234")
    with pytest.raises(StoreFailed, match="did not sign as its public key says"):
        sign(desk)


def test_a_pin_is_shown_nowhere(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    held = {name: value for name, value in vars(desk.token).items() if name != "around"}
    with Secret.of(b"4321") as wrong, pytest.raises(PinIncorrect) as refused:
        desk.token.verify(wrong)
    for pin in ("1234", "4321"):
        assert pin not in repr(held["_kept"]) + repr(held["_known"]) + repr(desk.token)
        assert pin not in repr(refused.value)


def test_a_lock_begins_no_worker_anew(tmp_path: Path) -> None:
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    desk.card.alive = False
    calls = len(desk.card.calls)
    desk.token.lock()
    assert desk.token.locked
    assert len(desk.card.calls) == calls


class One:
    """A store of one token."""

    name = "modules"

    def __init__(self, token: Token) -> None:
        self._token = token

    def tokens(self) -> list[Token]:
        return [self._token]

    def listen(self, listener: Listener) -> None:
        pass

    def close(self) -> None:
        pass


def test_policies_that_were_changed_by_others_close_their_keys_and_no_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "policies.json").write_text("{}\n")
    desk = Desk(Card(), tmp_path)
    desk.pin(b"1234")
    memory, trail = MemoryStore(owner=1000), ListTrail()
    own = memory.token.import_key(samples.new(Algorithm.ED25519), Handover("own"), OPEN)
    gate = gate_over([memory, One(desk.token)], trail, ScriptedPrompters(), desk.clock)
    caller = Caller(Door.AGENT, Peer(1000, 1000, 7), lambda: Process(pid=7, start=1))
    assert [key.label for key in gate.keys(caller)] == ["own", "key"]
    gate.sign(caller, own, samples.EDDSA, MESSAGE)
    with pytest.raises(StoreDamaged, match=r"policies\.json"):
        gate.sign(caller, desk.token.keys()[0], BY, MESSAGE)
    memory.close()
    results = [each.result for each in trail.records if isinstance(each, Operation)]
    assert results == ["ok", "failed"]
