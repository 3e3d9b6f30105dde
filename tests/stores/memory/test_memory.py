"""The memory store: what ssh-add hands over, as OpenSSH's agent keeps it."""

import gc
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.wire.ssh import samples

from keyholm.core.errors import BadCertificate, KeyNotFound, MechanismUnsupported, StoreFailed
from keyholm.core.mechanisms import EdDsa, Message, SecurityKey
from keyholm.core.model import Algorithm, Key, Origin
from keyholm.core.policy import OPEN, Confirm, Policy
from keyholm.core.store import Handover
from keyholm.stores.memory import store as memory
from keyholm.stores.memory.store import MemoryStore
from keyholm.stores.software import keys as software
from keyholm.stores.software.shield import Shield, Shielded
from keyholm.testing.fakes import Clock
from keyholm.wire.ssh import keys
from keyholm.wire.ssh.private_keys import (
    PrivateEd25519,
    PrivateSkEcdsa,
    PrivateSkEd25519,
    PrivateWithCertificate,
)

MESSAGE = Message(b"message")
CONFIRMED = Policy(confirm=Confirm(asked=True))


class House:
    """A memory store whose clock stands still."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(clock=self.clock)
        self.token = self.store.token

    def add(self, name: str = "ed25519", label: str = "me", **handover: object) -> Key:
        handed = Handover(label, **handover)  # type: ignore[arg-type]
        return self.token.import_key(samples.private(name), handed, OPEN)

    def labels(self) -> list[str]:
        (token,) = self.store.tokens()  # drops what has expired
        keys = token.keys()
        return [key.label for key in keys]


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(autouse=True)
def closed(house: House) -> object:
    yield
    house.store.close()


# --- the same key again --------------------------------------------------------------


def test_a_key_again_replaces_all_but_its_place(house: House) -> None:
    house.add("ed25519", "first", lifetime=10.0)
    house.add("ecdsa256", "second")
    again = house.token.import_key(samples.private("ed25519"), Handover("again"), CONFIRMED)

    assert house.labels() == ["again", "second"]
    assert house.token.policy_of(again) == CONFIRMED
    house.clock.advance(100)
    assert house.labels() == ["again", "second"]  # and it lives for ever now


def test_the_shorter_of_two_lifetimes_does_not_outlive_its_replacement(house: House) -> None:
    house.add("ed25519", "short", lifetime=10.0)
    house.add("ed25519", "long", lifetime=100.0)
    house.clock.advance(50)
    assert house.labels() == ["long"]
    house.clock.advance(50)
    assert house.labels() == []


def test_what_was_handed_over_says_so(house: House) -> None:
    key = house.add()

    assert key.origin is Origin.HANDED_OVER
    assert not key.exportable


# --- lifetimes -----------------------------------------------------------------------


def test_a_key_lives_until_its_last_second_and_not_longer(house: House) -> None:
    key = house.add(lifetime=10.0)
    house.clock.advance(9.999)
    assert house.labels() == ["me"]
    house.token.sign(key, EdDsa(), MESSAGE)
    house.clock.advance(0.001)

    with pytest.raises(KeyNotFound, match="does not have 'me' any more"):
        house.token.sign(key, EdDsa(), MESSAGE)
    assert house.labels() == []


def test_a_lifetime_of_nothing_expires_at_once(house: House) -> None:
    """`ssh-add -t 0` succeeds with ssh-agent, and the key is never listed."""
    house.add(lifetime=0.0)
    assert house.labels() == []


def test_what_expires_is_told_once(house: House) -> None:
    told: list[object] = []
    house.add("ed25519", lifetime=5.0)
    house.add("ecdsa256", lifetime=5.0)
    house.store.listen(told.append)
    house.clock.advance(5)
    for _ in range(3):
        house.labels()

    assert len(told) == 1


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    assert memory.boot_seconds() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)


class Untouched(dict[str, Any]):
    def get(self, name: str, default: object = None) -> Any:
        raise AssertionError(f"{name} was looked at")


def test_a_listing_looks_at_no_key_that_has_not_expired(house: House) -> None:
    """10,000 keys with a lifetime: a sweep over them would cost milliseconds a request."""
    for each in many_keys(100):
        house.token.import_key(each, Handover("one of many", lifetime=10), OPEN)
    house.token._held = Untouched(house.token._held)
    house.store.tokens()
    house.clock.advance(11)
    with pytest.raises(AssertionError, match="was looked at"):
        house.store.tokens()


# --- certificates --------------------------------------------------------------------


def certified(name: str) -> PrivateWithCertificate:
    return PrivateWithCertificate(samples.blob(f"{name}-cert"), samples.private(name))


@pytest.mark.parametrize("name", samples.CERTIFIED)
def test_a_key_and_its_certificate_are_two_identities(house: House, name: str) -> None:
    plain = house.add(name, "plain")
    private = certified(name)
    handover = Handover("certified", certificate=private.certificate)
    certificate = house.token.import_key(private, handover, OPEN)

    assert certificate.id == plain.id
    assert certificate.place != plain.place
    assert certificate.identity == private.certificate
    assert plain.identity == samples.blob(name)
    assert house.labels() == ["plain", "certified"]
    house.token.destroy(plain)
    assert house.labels() == ["certified"]


def test_a_certificate_of_another_key_is_refused(house: House) -> None:
    handover = Handover("certified", certificate=samples.blob("ecdsa256-cert"))
    for bad in (handover, replace(handover, certificate=b"\0\0\0\x03no")):
        with pytest.raises(BadCertificate):
            house.token.import_key(samples.private("ed25519"), bad, OPEN)
    assert house.labels() == []


# --- FIDO keys -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ed25519_sk", "ecdsa_sk"])
def test_a_fido_key_is_signed_by_the_helper_contract_fake(name: str) -> None:
    asked: list[tuple[bytes, str, bytes]] = []

    def sk_sign(private: PrivateSkEd25519 | PrivateSkEcdsa, provider: str, data: bytes) -> bytes:
        asked.append((bytes(private.key_handle), provider, data))
        return b"assertion"

    store = MemoryStore(sk_sign=sk_sign)
    private = samples.private(name)
    assert isinstance(private, PrivateSkEd25519 | PrivateSkEcdsa)
    handle = bytes(private.key_handle)
    key = store.token.import_key(private, Handover("fido", provider="/usr/lib/sk.so"), OPEN)

    assert key.application == "ssh:"
    assert store.token.sign(key, SecurityKey(), MESSAGE) == b"assertion"
    assert asked == [(handle, "/usr/lib/sk.so", MESSAGE.data)]
    with pytest.raises(MechanismUnsupported):
        store.token.sign(key, EdDsa(), MESSAGE)
    store.close()


def test_without_a_helper_a_fido_key_says_what_is_missing(house: House) -> None:
    key = house.add("ed25519_sk")

    with pytest.raises(StoreFailed, match="ssh-sk-helper"):
        house.token.sign(key, SecurityKey(), MESSAGE)


# --- many ----------------------------------------------------------------------------


def many_keys(count: int) -> list[PrivateEd25519]:
    made = [software.generate(Algorithm.ED25519) for _ in range(count)]
    return [each for each in made if isinstance(each, PrivateEd25519)]


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_ten_thousand_keys_cost_little(house: House) -> None:
    """Under 4 KiB each, and nothing of them is loaded before its first use."""
    private = many_keys(10_000)
    gc.collect()
    before = resident()
    for number, each in enumerate(private):
        house.token.import_key(each, Handover(f"key {number}"), OPEN)
    size = resident() - before

    assert len(house.token.keys()) == 10_000
    assert size / 10_000 < 4096
    sources = [held.source for held in house.token._held.values()]
    assert not any(isinstance(source, Shielded) and source.is_hot for source in sources)


def test_clearing_forgets_everything(house: House) -> None:
    key = house.add()
    house.add("ecdsa256")
    assert house.token.clear() == 2
    assert house.labels() == []
    with pytest.raises(KeyNotFound):
        house.token.sign(key, EdDsa(), MESSAGE)
    assert house.token.clear() == 0


def test_two_stores_may_share_a_shield() -> None:
    shield = Shield()
    one, other = MemoryStore(shield=shield), MemoryStore(shield=shield)
    keys_ = [
        store.token.import_key(samples.private("ed25519"), Handover("me"), OPEN)
        for store in (one, other)
    ]
    assert keys_[0].place.object == keys.fingerprint(samples.blob("ed25519"))
    one.close()
    other.close()
