"""The card in memory does what SP 800-73-4 says, also to a client that does not."""

import itertools

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given
from hypothesis import strategies as st

from keyholm.testing.piv import keys
from keyholm.testing.piv.card import MOST_CHAINED, Card
from keyholm.testing.piv.keys import CardKey, ManagementKey
from keyholm.testing.piv.names import (
    INS,
    MANAGEMENT_AID,
    PIV_AID,
    SW,
    Algorithm,
    PinPolicy,
    Slot,
    Tag,
)
from keyholm.testing.piv.pins import padded
from keyholm.wire import apdu
from keyholm.wire.apdu import CHAINED, Command, tlv

PRIVATE = {algorithm: keys.generate(algorithm) for algorithm in (0x07, 0x11, 0x14)}
SIGN = Slot.SIGNATURE
RIGHT, WRONG = padded("123456"), padded("000000")
READ_CHUID = Command(0, INS.GET_DATA, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x02"))


class Client:
    """A card and the few words that tests say to it."""

    def __init__(self) -> None:
        self.card = Card(serial=7)
        self.select()

    def select(self) -> None:
        assert self.ask(INS.SELECT, 4, 0, PIV_AID)

    def send(self, command: Command) -> tuple[bytes, int]:
        answer = self.card.answer(apdu.encode(command))
        return answer[:-2], int.from_bytes(answer[-2:])

    def status(self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> int:
        return self.send(Command(0, ins, p1, p2, data))[1]

    def ask(self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> bytes:
        """The whole of a good answer."""
        answer, status = self.send(Command(0, ins, p1, p2, data, apdu.MOST_EXPECTED))
        assert status == SW.OK, f"{status:04x}"
        return answer

    def verify(self, pin: bytes = RIGHT) -> int:
        return self.status(INS.VERIFY, 0, 0x80, pin)

    def logged_in(self) -> bool:
        return self.status(INS.VERIFY, 0, 0x80) == SW.OK

    def become_administrator(self) -> None:
        key = self.card.piv.management
        algorithm = key.algorithm
        asked = self.ask(INS.GENERAL_AUTHENTICATE, algorithm, 0x9B, tlv(0x7C, tlv(0x81)))
        challenge = apdu.elements(apdu.elements(asked)[0x7C])[0x81]
        response = tlv(0x7C, tlv(0x82, key.encrypt(challenge)))
        self.ask(INS.GENERAL_AUTHENTICATE, algorithm, 0x9B, response)

    def put(self, slot: Slot, algorithm: int, policy: PinPolicy = PinPolicy.DEFAULT) -> None:
        policy = keys.pin_policy(slot, policy)
        self.card.piv.keys[slot] = CardKey(PRIVATE[algorithm], policy)

    def use(self, slot: Slot, algorithm: int, tag: int, value: bytes) -> tuple[bytes, int]:
        template = tlv(0x7C, tlv(0x82) + tlv(tag, value))
        command = Command(0, INS.GENERAL_AUTHENTICATE, algorithm, slot, template, 0x10000)
        answer, status = self.send(command)
        return (apdu.elements(apdu.elements(answer)[0x7C])[0x82] if answer else b""), status


@pytest.fixture
def client() -> Client:
    return Client()


# --- what comes in parts -----------------------------------------------------------------


def test_a_long_answer_is_given_in_parts(client: Client) -> None:
    client.card.piv.objects[0x5FC10A] = bytes(range(256)) * 3
    data = tlv(0x5C, b"\x5f\xc1\x0a")
    first, status = client.send(Command(0, INS.GET_DATA, 0x3F, 0xFF, data, 256))
    whole = first
    while status & 0xFF00 == SW.MORE:
        part, status = client.send(Command(0, INS.GET_RESPONSE, 0, 0, b"", (status & 0xFF) or 256))
        whole += part
    assert status == SW.OK
    assert whole == tlv(0x53, bytes(range(256)) * 3)


def test_any_other_command_ends_a_long_answer(client: Client) -> None:
    client.card.piv.objects[0x5FC10A] = bytes(600)
    client.send(Command(0, INS.GET_DATA, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x0a"), 256))
    client.send(READ_CHUID)
    assert client.status(INS.GET_RESPONSE) == SW.CONDITIONS_OF_USE_NOT_SATISFIED


def test_a_chain_is_one_command(client: Client) -> None:
    client.become_administrator()
    whole = tlv(0x5C, b"\x5f\xc1\x0a") + tlv(0x53, bytes(500))
    for start in range(0, 400, 200):
        part = Command(CHAINED, INS.PUT_DATA, 0x3F, 0xFF, whole[start : start + 200])
        assert client.send(part) == (b"", SW.OK)
    assert client.status(INS.PUT_DATA, 0x3F, 0xFF, whole[400:]) == SW.OK
    assert client.card.piv.objects[0x5FC10A] == bytes(500)


def test_another_command_within_a_chain_is_refused(client: Client) -> None:
    client.send(Command(CHAINED, INS.PUT_DATA, 0x3F, 0xFF, b"begun"))
    assert client.send(READ_CHUID)[1] == SW.LAST_COMMAND_OF_CHAIN_EXPECTED
    assert client.send(READ_CHUID)[1] == SW.OK


def test_a_chain_without_end_is_refused_before_it_is_kept(client: Client) -> None:
    part = Command(CHAINED, INS.PUT_DATA, 0x3F, 0xFF, bytes(250))
    statuses = [client.send(part)[1] for _ in range(MOST_CHAINED // 250 + 1)]
    assert statuses[-1] == SW.NOT_ENOUGH_MEMORY
    assert set(statuses[:-1]) == {SW.OK}


# --- PINs --------------------------------------------------------------------------------


def test_a_wrong_pin_costs_a_try_and_the_right_one_gives_them_back(client: Client) -> None:
    assert client.verify(WRONG) == SW.TRIES_LEFT | 2
    assert client.status(INS.VERIFY, 0, 0x80) == SW.TRIES_LEFT | 2
    assert client.verify() == SW.OK
    assert client.card.piv.pin.left == 3


def test_a_locked_pin_is_not_even_compared(client: Client) -> None:
    assert [client.verify(WRONG) for _ in range(3)] == [0x63C2, 0x63C1, 0x6983]
    assert client.verify() == SW.AUTHENTICATION_METHOD_BLOCKED
    assert client.status(INS.VERIFY, 0, 0x80) == SW.AUTHENTICATION_METHOD_BLOCKED


def test_the_puk_unlocks_the_pin(client: Client) -> None:
    client.card.piv.pin.left = 0
    new = padded("654321")
    assert client.status(INS.RESET_RETRY_COUNTER, 0, 0x80, padded("12345678") + new) == SW.OK
    assert client.verify(new) == SW.OK


def test_a_wrong_pin_ends_the_login_before(client: Client) -> None:
    client.verify()
    client.verify(WRONG)
    assert not client.logged_in()


def test_a_short_pin_is_not_taken(client: Client) -> None:
    assert client.status(INS.CHANGE_REFERENCE_DATA, 0, 0x80, RIGHT + padded("123")) == 0x6A80
    assert client.verify() == SW.OK


def test_a_reset_wants_both_locked(client: Client) -> None:
    client.put(SIGN, Algorithm.P256)
    client.card.piv.pin.left = 0
    assert client.status(INS.RESET) == SW.CONDITIONS_OF_USE_NOT_SATISFIED
    client.card.piv.puk.left = 0
    assert client.status(INS.RESET) == SW.OK
    assert not client.card.piv.keys
    assert client.verify() == SW.OK


def test_power_and_other_applications_end_the_login(client: Client) -> None:
    client.verify()
    client.select()
    assert client.logged_in()
    assert client.ask(INS.SELECT, 4, 0, MANAGEMENT_AID)
    client.select()
    assert not client.logged_in()
    client.verify()
    client.card.reset()
    client.select()
    assert not client.logged_in()


# --- keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.P384])
def test_an_ecdsa_signature_of_a_hash_verifies(client: Client, algorithm: Algorithm) -> None:
    client.put(Slot.CARD_AUTHENTICATION, algorithm)
    width = keys.HASHES[algorithm]
    digest = bytes(range(width.digest_size))
    signature, status = client.use(Slot.CARD_AUTHENTICATION, algorithm, 0x81, digest)
    assert status == SW.OK
    public = PRIVATE[algorithm].public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, digest, ec.ECDSA(Prehashed(width)))


def test_an_rsa_block_is_signed_as_it_is(client: Client) -> None:
    client.put(Slot.CARD_AUTHENTICATION, Algorithm.RSA_2048)
    private = PRIVATE[Algorithm.RSA_2048]
    assert isinstance(private, rsa.RSAPrivateKey)
    wanted = private.sign(b"message", padding.PKCS1v15(), hashes.SHA256())
    numbers = private.public_key().public_numbers()
    block = pow(int.from_bytes(wanted), numbers.e, numbers.n).to_bytes(256)
    got = client.use(Slot.CARD_AUTHENTICATION, Algorithm.RSA_2048, 0x81, block)
    assert got == (wanted, SW.OK)


def test_two_sides_agree_on_a_secret(client: Client) -> None:
    client.put(Slot.CARD_AUTHENTICATION, Algorithm.P384)
    ours, theirs = ec.generate_private_key(ec.SECP384R1()), PRIVATE[Algorithm.P384]
    assert isinstance(theirs, ec.EllipticCurvePrivateKey)
    point = apdu.elements(CardKey(ours, PinPolicy.NEVER).public())[0x86]
    secret = client.use(Slot.CARD_AUTHENTICATION, Algorithm.P384, 0x85, point)
    assert secret == (ours.exchange(ec.ECDH(), theirs.public_key()), SW.OK)


def test_a_point_off_the_curve_is_refused(client: Client) -> None:
    client.put(Slot.CARD_AUTHENTICATION, Algorithm.P256)
    answer = client.use(Slot.CARD_AUTHENTICATION, Algorithm.P256, 0x85, b"\x04" + bytes(64))
    assert answer == (b"", SW.INCORRECT_DATA)


def test_the_signature_key_wants_the_pin_before_each_use(client: Client) -> None:
    client.put(SIGN, Algorithm.P256)
    asks = (SIGN, Algorithm.P256, 0x81, bytes(32))
    assert client.use(*asks)[1] == SW.SECURITY_STATUS_NOT_SATISFIED
    client.verify()
    assert client.use(*asks)[1] == SW.OK
    assert client.use(*asks)[1] == SW.SECURITY_STATUS_NOT_SATISFIED


def test_the_authentication_key_wants_the_pin_once(client: Client) -> None:
    client.put(Slot.AUTHENTICATION, Algorithm.P256)
    asks = (Slot.AUTHENTICATION, Algorithm.P256, 0x81, bytes(32))
    assert client.use(*asks)[1] == SW.SECURITY_STATUS_NOT_SATISFIED
    client.verify()
    assert [client.use(*asks)[1] for _ in range(2)] == [SW.OK, SW.OK]


def test_a_key_of_another_algorithm_or_none_is_no_key(client: Client) -> None:
    client.put(Slot.CARD_AUTHENTICATION, Algorithm.P256)
    for slot, algorithm in ((Slot.CARD_AUTHENTICATION, 0x14), (Slot.AUTHENTICATION, 0x11)):
        assert client.use(slot, algorithm, 0x81, bytes(32)) == (b"", SW.INCORRECT_DATA)


# --- the administrator -------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [ManagementKey(), ManagementKey(Algorithm.AES_128, bytes(16)), ManagementKey(0x0C, bytes(32))],
    ids=["3DES", "AES-128", "AES-256"],
)
def test_both_sides_prove_the_management_key(client: Client, key: ManagementKey) -> None:
    client.card.piv.management = key
    where = (INS.GENERAL_AUTHENTICATE, key.algorithm, 0x9B)
    client.ask(*where, tlv(0x7C, tlv(0x80)))
    proof = tlv(0x80, client.card.piv.login.witness) + tlv(0x81, bytes(key.block))
    answer = apdu.elements(apdu.elements(client.ask(*where, tlv(0x7C, proof)))[0x7C])
    assert answer == {0x82: key.encrypt(bytes(key.block))}
    assert client.card.piv.login.administrator


def test_a_wrong_proof_and_one_without_a_challenge_are_refused(client: Client) -> None:
    where = (INS.GENERAL_AUTHENTICATE, Algorithm.TDES, 0x9B)
    for _ in range(2):
        response = tlv(0x7C, tlv(0x82, bytes(8)))
        assert client.status(*where, response) == SW.SECURITY_STATUS_NOT_SATISFIED
        client.ask(*where, tlv(0x7C, tlv(0x81)))
    assert not client.card.piv.login.administrator


def test_only_the_administrator_makes_keys_and_writes(client: Client) -> None:
    make = (INS.GENERATE_ASYMMETRIC_KEY_PAIR, 0, 0x9A, tlv(0xAC, tlv(0x80, b"\x11")))
    write = (INS.PUT_DATA, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x05") + tlv(0x53, b"x"))
    for each in (make, write):
        assert client.status(*each) == SW.SECURITY_STATUS_NOT_SATISFIED
    client.become_administrator()
    made = apdu.elements(client.ask(*make))[0x7F49]
    assert made == client.card.piv.keys[0x9A].public()
    assert client.status(*write) == SW.OK


def test_a_management_key_of_a_wrong_size_is_refused(client: Client) -> None:
    client.become_administrator()
    status = client.status(INS.SET_MANAGEMENT_KEY, 0xFF, 0xFF, b"\x0c\x9b\x10" + bytes(16))
    assert status == SW.INCORRECT_DATA
    assert client.card.piv.management == ManagementKey()


# --- what no client should send ----------------------------------------------------------


def test_the_printed_information_wants_the_pin(client: Client) -> None:
    client.card.piv.objects[0x5FC109] = b"a name"
    read = (INS.GET_DATA, 0x3F, 0xFF, tlv(0x5C, b"\x5f\xc1\x09"))
    assert client.status(*read) == SW.SECURITY_STATUS_NOT_SATISFIED
    client.verify()
    assert client.ask(*read) == tlv(0x53, b"a name")


def test_before_an_application_is_selected_there_is_none() -> None:
    card = Card()
    assert card.answer(apdu.encode(READ_CHUID)) == SW.INSTRUCTION_NOT_SUPPORTED.to_bytes(2)
    unknown = apdu.encode(Command(0, INS.SELECT, 4, 0, b"\xa0\0\0\1\x51"))
    assert card.answer(unknown) == SW.FILE_NOT_FOUND.to_bytes(2)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6))
def test_any_bytes_are_answered_with_a_status_and_use_no_key(commands: list[bytes]) -> None:
    client = Client()
    client.put(Slot.AUTHENTICATION, Algorithm.P256)
    before = dict(client.card.piv.objects)
    for command in commands:
        assert len(client.card.answer(command)) >= 2
    assert client.card.piv.objects == before
    assert Tag.CHUID in before


def test_any_instruction_with_any_parameter_is_answered(client: Client) -> None:
    client.put(Slot.AUTHENTICATION, Algorithm.P256)
    data = tlv(0x7C, tlv(0x82) + tlv(0x81, bytes(32)))
    for ins, p2 in itertools.product(range(256), (0, 0x80, 0x9A, 0x9B, 0xFF)):
        for cla in (0, CHAINED, 0x80):
            client.send(Command(cla, ins, 0, p2, data))
        client.card.answer(bytes((0, ins, 0x11, p2)))
    assert client.card.piv.keys[0x9A].private is PRIVATE[Algorithm.P256]
