"""Keys at rest: sealed when idle, loaded while they are used."""

import threading
import time

import pytest
from tests.wire.ssh import samples

from keyholm.core.errors import KeyholmError, KeyNotFound, StoreFailed
from keyholm.core.mechanisms import (
    AesCbc,
    AesCcm,
    AesCmac,
    AesCtr,
    AesEcb,
    AesGcm,
    AesKeyWrap,
    AesXts,
    ChaCha20Poly1305,
    Ecdh,
    Ecdsa,
    EdDsa,
    Hash,
    Hmac,
    Mechanism,
    Message,
    MlDsa,
    RsaPss,
    Verb,
)
from keyholm.core.model import KeyType, OtherAlgorithm, SecretKey, SecretType
from keyholm.stores.software import shield as shields
from keyholm.stores.software import using
from keyholm.stores.software.generating import generate
from keyholm.stores.software.material import describe, public_of, value_of
from keyholm.stores.software.shield import Shield, Shielded
from keyholm.testing.fakes import Clock
from keyholm.wire.ssh.private_keys import PrivateEd25519

MESSAGE = Message(b"message")


def sealed(shield: Shield, name: str = "ed25519") -> Shielded:
    return shield.seal(samples.private(name))


def test_a_key_is_loaded_at_its_first_use_and_dropped_when_idle() -> None:
    clock = Clock()
    shield = Shield(idle=60, clock=clock)
    key = sealed(shield)
    states = [key.is_hot]

    signature = key.sign(EdDsa(), MESSAGE)
    states.append(key.is_hot)
    clock.advance(59)
    assert shield.drop_idle() == 1
    states.append(key.is_hot)
    clock.advance(1)
    assert shield.drop_idle() == 0
    states.append(key.is_hot)

    assert states == [False, True, True, False]
    assert key.sign(EdDsa(), MESSAGE) == signature
    shield.close()


def test_each_use_keeps_a_key_hot() -> None:
    clock = Clock()
    shield = Shield(idle=60, clock=clock)
    key = sealed(shield)
    for _ in range(5):
        key.sign(EdDsa(), MESSAGE)
        clock.advance(50)
        shield.drop_idle()

    assert key.is_hot
    shield.close()


def test_one_thread_drops_what_is_idle_and_ends_when_nothing_is_hot() -> None:
    shield = Shield(idle=0.05)
    assert threading.active_count() == 1
    held = [sealed(shield) for _ in range(3)]
    for key in held:
        key.sign(EdDsa(), MESSAGE)
    assert threading.active_count() == 2

    deadline = time.monotonic() + 10
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert threading.active_count() == 1
    assert not any(key.is_hot for key in held)
    held[0].sign(EdDsa(), MESSAGE)
    assert threading.active_count() == 2
    shield.close()


def test_a_closed_shield_gives_nothing_any_more() -> None:
    shield = Shield()
    key, other = sealed(shield), sealed(shield)
    key.sign(EdDsa(), MESSAGE)
    shield.close()
    shield.close()

    for each in (key, other):
        with pytest.raises(KeyholmError, match="forgotten"):
            each.sign(EdDsa(), MESSAGE)
    with pytest.raises(KeyholmError, match="forgotten"):
        sealed(shield)


def test_a_key_that_was_removed_signs_no_more() -> None:
    shield = Shield()
    key = sealed(shield)
    key.sign(EdDsa(), MESSAGE)
    key.close()

    with pytest.raises(KeyNotFound):
        key.sign(EdDsa(), MESSAGE)
    shield.close()


def test_the_sealed_form_shows_nothing_and_is_another_each_time() -> None:
    shield = Shield()
    private = samples.private("ed25519")
    assert isinstance(private, PrivateEd25519)
    one, other = sealed(shield), sealed(shield)

    assert one._sealed != other._sealed
    for key in (one, other):
        assert bytes(private.seed) not in key._sealed
        assert private.public.point not in key._sealed
    shield.close()


def test_new_mechanisms_at_each_request_do_not_fill_the_memory() -> None:
    """As PKCS#11 clients send them: the same parameters, an object of its own each time."""
    shield = Shield()
    key = sealed(shield, "rsa")
    for _ in range(50):
        key.sign(RsaPss(Hash.SHA256, Hash.SHA256, 32), MESSAGE)

    assert key._signers is not None
    assert len(key._signers) <= shields.MOST_SIGNERS
    shield.close()


def test_a_key_signs_while_it_is_dropped_all_the_time() -> None:
    clock = Clock()
    shield = Shield(idle=0, clock=clock)
    key = sealed(shield)
    right = key.sign(EdDsa(), MESSAGE)
    stop = threading.Event()

    def drop() -> None:
        while not stop.is_set():
            shield.drop_idle()

    dropping = threading.Thread(target=drop)
    dropping.start()
    try:
        for _ in range(500):
            assert key.sign(EdDsa(), MESSAGE) == right
    finally:
        stop.set()
        dropping.join()
        shield.close()


# --- more than signing ---------------------------------------------------------------


def test_every_kind_of_key_is_kept_and_used_from_there() -> None:
    shield = Shield()
    uses: dict[KeyType, Mechanism] = {
        OtherAlgorithm.ED448: EdDsa(),
        OtherAlgorithm.ECDSA_P224: Ecdsa(Hash.SHA256),
        OtherAlgorithm.SECP256K1: Ecdsa(Hash.SHA256),
        OtherAlgorithm.ML_DSA_65: MlDsa(),
        SecretKey(SecretType.GENERIC, 32): Hmac(Hash.SHA256, 32),
        SecretKey(SecretType.AES, 16): AesCmac(),
    }
    for wanted, mechanism in uses.items():
        made = generate(wanted)
        with made.material:
            key = shield.seal_material(made.material)
        signature = key.sign(mechanism, MESSAGE)
        verifying = key.begin(Verb.VERIFY, mechanism)
        verifying.update(MESSAGE.data)
        verifying.finish(signature)
        if made.spki:
            verifying = using.begin(public_of(made.spki), Verb.VERIFY, mechanism)
            verifying.update(MESSAGE.data)
            verifying.finish(signature)
    shield.close()


@pytest.mark.parametrize(
    ("type_", "mechanism"),
    [
        (SecretType.AES, AesEcb()),
        (SecretType.AES, AesCbc(bytes(16), padded=True)),
        (SecretType.AES, AesCtr(bytes(16), 128)),
        (SecretType.AES, AesGcm(bytes(12), b"", 16)),
        (SecretType.AES, AesCcm(bytes(12), b"", 16, 32)),
        (SecretType.AES, AesXts(bytes(16))),
        (SecretType.AES, AesKeyWrap(padded=False)),
        (SecretType.CHACHA20, ChaCha20Poly1305(bytes(12), b"")),
    ],
)
def test_an_operation_goes_on_when_its_key_is_sealed_again(
    type_: SecretType, mechanism: Mechanism
) -> None:
    clock = Clock()
    shield = Shield(idle=60, clock=clock)
    with generate(SecretKey(type_, 32)).material as material:
        key = shield.seal_material(material)

    def used(verb: Verb, data: bytes) -> bytes:
        running = key.begin(verb, mechanism)
        clock.advance(60)
        assert shield.drop_idle() == 0
        given = running.update(data)
        return given + running.finish()

    encrypted = used(Verb.ENCRYPT, bytes(32))
    assert encrypted != bytes(32)
    assert used(Verb.DECRYPT, encrypted) == bytes(32)
    shield.close()


def test_two_keys_agree_and_are_given_out() -> None:
    shield = Shield()
    made = [generate(OtherAlgorithm.X25519) for _ in range(2)]
    keys, points = [], []
    for each in made:
        with each.material as material:
            keys.append(shield.seal_material(material))
        points.append(public_of(each.spki).public_bytes_raw())
    with (
        keys[0].derive(Ecdh(points[1]), 32) as here,
        keys[1].derive(Ecdh(points[0]), 32) as there,
    ):
        assert here == there
    with keys[0].with_material(value_of) as value:
        assert describe(value.view).spki == made[0].spki
    with pytest.raises(StoreFailed):
        keys[0].with_private(lambda private: private)
    shield.close()
