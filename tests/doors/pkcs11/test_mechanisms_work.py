"""Whatever is listed works: each mechanism, in each of its functions, with a token on disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cryptoki.test_mechanisms import GOOD, LEGACY
from tests.stores.cheap import disk_store

from keyholm.core import actions
from keyholm.core.caller import Caller, Door, Peer, Process
from keyholm.core.errors import NotExportable, SignatureInvalid
from keyholm.core.gate import Gate, Use
from keyholm.core.mechanisms import Ecdsa, Message, Opaque, Verb
from keyholm.core.mechanisms import Mechanism as CoreMechanism
from keyholm.core.model import Key
from keyholm.core.policy import OPEN
from keyholm.core.secret import Secret
from keyholm.core.session import Logins, Role
from keyholm.core.store import NewPins
from keyholm.cryptoki.mechanisms import ROWS, Chosen, chosen, hasher
from keyholm.doors.pkcs11 import making
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.showing import shown
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire import der
from keyholm.wire.pkcs11 import parameters
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKP
from keyholm.wire.pkcs11.mechanisms import FORMS, Mechanism

P256 = der.oid("1.2.840.10045.3.1.7")
PAIRS: dict[int, tuple[int, Template]] = {
    CKK.RSA: (CKM.RSA_PKCS_KEY_PAIR_GEN, ((CKA.MODULUS_BITS, 2048),)),
    CKK.EC: (CKM.EC_KEY_PAIR_GEN, ((CKA.EC_PARAMS, P256),)),
    CKK.EC_EDWARDS: (
        CKM.EC_EDWARDS_KEY_PAIR_GEN,
        ((CKA.EC_PARAMS, der.oid("1.3.101.112")),),
    ),
    CKK.EC_MONTGOMERY: (
        CKM.EC_MONTGOMERY_KEY_PAIR_GEN,
        ((CKA.EC_PARAMS, der.oid("1.3.101.110")),),
    ),
    CKK.ML_DSA: (CKM.ML_DSA_KEY_PAIR_GEN, ((CKA.PARAMETER_SET, CKP.ML_DSA_44),)),
    CKK.ML_KEM: (CKM.ML_KEM_KEY_PAIR_GEN, ((CKA.PARAMETER_SET, CKP.ML_KEM_768),)),
}
SECRETS = {
    next(iter(row.key_types)): ckm
    for ckm, row in ROWS.items()
    if row.flags & CKF.GENERATE and len(row.key_types) == 1
}
SIZES = {CKK.AES_XTS: 64, CKK.DES3: 24}
# Of each form a parameter that is good for any key.
PARAMETERS = {type(parameter): parameter for _, _, parameter, _ in GOOD + LEGACY if parameter}
AGREED = (CKM.ECDH1_DERIVE, CKM.ECDH1_COFACTOR_DERIVE)


class House:
    """A token for old programs, somebody who is logged in there, and one key of each type."""

    def __init__(self, place: Path) -> None:
        self.store = store = disk_store(place)
        with Secret.of(b"12345678") as officer, Secret.of(b"1234") as user:
            pins = NewPins(officer, user, application_login=True, legacy=True)
            self.token = store.make_pin_token("old", 1000, pins)
            self.gate: Gate = gate_over([store], ListTrail(), ScriptedPrompters(), Clock())
            self.caller = Caller(
                Door.PKCS11, Peer(1000, 1000, 1), lambda: Process(1, 1), logins=Logins()
            )
            self.gate.manage(self.caller, actions.LogIn(self.token, Role.USER, user))
        self._keys: dict[int, Key] = {}

    def key(self, key_type: int) -> Key:
        if key_type not in self._keys:
            self._keys[key_type] = self.made(key_type)
        return self._keys[key_type]

    def made(self, key_type: int, *more: Any) -> Key:
        if key_type in PAIRS:
            ckm, template = PAIRS[key_type]
            new = making.key_pair(Mechanism(ckm), template, more)
        else:
            length = (CKA.VALUE_LEN, SIZES.get(key_type, 32))
            new = making.secret_key(Mechanism(SECRETS[key_type]), (length, *more), legacy=True)
        key = self.gate.manage(self.caller, actions.Generate(self.token, new, OPEN))
        assert isinstance(key, Key)
        return key

    def halves(self, key: Key) -> tuple[Shown, Shown]:
        found = shown(self.token, key)
        return found[0], found[-1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("store"))
    # Starts the thread that seals what is idle, which outlives this test.
    made.gate.sign(made.caller, made.key(CKK.EC), Ecdsa(), Opaque(bytes(32)))
    yield made
    made.store.close()


def parameter_of(house: House, ckm: int, key_type: int) -> Any:
    given = next((each for number, _, each, _ in GOOD + LEGACY if number == ckm and each), None)
    if ckm in AGREED:
        other = house.made(key_type)
        point = house.halves(other)[1].value(CKA.EC_POINT)
        assert isinstance(point, bytes)
        return msgspec.structs.replace(given or PARAMETERS[parameters.Ecdh1], public_data=point)
    if given is not None:
        return given
    form = FORMS.get(ckm)
    if form is None or form.optional:
        return None
    if form.kind is parameters.Pss:
        name = CKM.name(ckm).removeprefix("CKM_").removesuffix("_RSA_PKCS_PSS")
        mgf = getattr(CKG, f"MGF1_{name}")
        hashed = getattr(CKM, "SHA_1" if name == "SHA1" else name)
        return parameters.Pss(hashed, mgf, 20)
    return PARAMETERS[form.kind]


def data_for(found: Chosen) -> bytes:
    """Something that the mechanism takes."""
    match found.ckm:
        case CKM.RSA_PKCS_PSS | CKM.ECDSA:
            return bytes(32)
        case CKM.RSA_X_509:
            return b"\0\5" + bytes(254)
        case CKM.AES_CCM:
            return bytes(100)  # as its parameter says
        case _:
            return b"sixteen bytes..." * 2


def cases(*functions: int) -> list[Any]:
    return [
        pytest.param(ckm, key_type, id=f"{CKM.name(ckm)}-{CKK.name(key_type)}")
        for ckm, row in ROWS.items()
        if all(row.flags & function for function in functions)
        for key_type in sorted(row.key_types)
    ]


# Served by calls of their own around the same mechanisms, which have tests of their own.
OF_OTHER_CALLS = (
    *(CKF.MESSAGE_SIGN, CKF.MESSAGE_VERIFY, CKF.MESSAGE_ENCRYPT, CKF.MESSAGE_DECRYPT),
    *(CKF.MULTI_MESSAGE, CKF.SIGN_RECOVER, CKF.VERIFY_RECOVER),
)


def test_every_function_is_tried_here() -> None:
    tried = (
        *(CKF.SIGN, CKF.VERIFY, CKF.ENCRYPT, CKF.DECRYPT, CKF.WRAP, CKF.UNWRAP, CKF.DERIVE),
        *(CKF.GENERATE, CKF.GENERATE_KEY_PAIR, CKF.DIGEST, CKF.ENCAPSULATE, CKF.DECAPSULATE),
    )
    for ckm, row in ROWS.items():
        rest = row.flags & (CKF.EC_F_P - 1) & ~sum((*tried, *OF_OTHER_CALLS))
        assert not rest, CKM.name(ckm)
    for one, other in ((CKF.SIGN, CKF.VERIFY), (CKF.ENCRYPT, CKF.DECRYPT), (CKF.WRAP, CKF.UNWRAP)):
        assert all(bool(row.flags & one) == bool(row.flags & other) for row in ROWS.values())


def mechanism_of(found: Chosen) -> CoreMechanism:
    assert found.mechanism is not None
    return found.mechanism


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.SIGN))
def test_signatures(house: House, ckm: int, key_type: int) -> None:
    key = house.key(key_type)
    asked = Mechanism(ckm, parameter_of(house, ckm, key_type))
    found = chosen(asked, CKF.SIGN, legacy=True)
    data = data_for(found)
    if found.row.whole:
        signature = house.gate.sign(house.caller, key, mechanism_of(found), found.input(data))
    else:
        signing = house.gate.begin(house.caller, Use(key, mechanism_of(found), Verb.SIGN))
        signing.update(data[:5])
        signing.update(data[5:])
        signature = signing.finish()
    for given, is_good in ((data, True), (data[:1] + b"\1" + data[2:], False)):
        by = chosen(asked, CKF.VERIFY, legacy=True)
        verifying = house.gate.begin(house.caller, Use(key, mechanism_of(by), Verb.VERIFY))
        verifying.update(given)
        if is_good:
            verifying.finish(signature)
        else:
            with pytest.raises(SignatureInvalid):
                verifying.finish(signature)


@pytest.mark.parametrize("ckm", [CKM.RSA_PKCS, CKM.ECDSA])
def test_what_is_signed_at_once_is_verified_in_parts_alike(house: House, ckm: int) -> None:
    """A DigestInfo is a digest to the gate, and the same bytes to who verifies."""
    algorithm = der.sequence(der.oid("2.16.840.1.101.3.4.2.1") + der.NULL)
    info = der.sequence(algorithm, der.octet_string(bytes(32)))
    found = chosen(Mechanism(ckm), CKF.SIGN)
    key = house.key(next(iter(found.row.key_types)))
    assert not isinstance(found.input(info), Message)
    signature = house.gate.sign(house.caller, key, mechanism_of(found), found.input(info))
    verifying = house.gate.begin(house.caller, Use(key, mechanism_of(found), Verb.VERIFY))
    verifying.update(info)
    verifying.finish(signature)
    assert isinstance(found.input(bytes(20)), Opaque)


def crypt(house: House, key: Key, verb: Verb, found: Chosen, data: bytes) -> bytes:
    running = house.gate.begin(house.caller, Use(key, mechanism_of(found), verb))
    return running.update(data) + running.finish()


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.ENCRYPT))
def test_encryption(house: House, ckm: int, key_type: int) -> None:
    key = house.key(key_type)
    asked = Mechanism(ckm, parameter_of(house, ckm, key_type))
    encrypting = chosen(asked, CKF.ENCRYPT, legacy=True)
    decrypting = chosen(asked, CKF.DECRYPT, legacy=True)
    data = data_for(encrypting)
    ciphertext = crypt(house, key, Verb.ENCRYPT, encrypting, data)
    assert ciphertext != data
    assert crypt(house, key, Verb.DECRYPT, decrypting, ciphertext) == data


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.WRAP))
def test_wrapping(house: House, ckm: int, key_type: int) -> None:
    wrapping, inside = house.key(key_type), house.made(CKK.AES, (CKA.EXTRACTABLE, True))
    parameter = parameter_of(house, ckm, key_type)
    if isinstance(parameter, parameters.Ccm):
        parameter = msgspec.structs.replace(parameter, data_length=32)
    found = chosen(Mechanism(ckm, parameter), CKF.WRAP)
    [private, public] = house.halves(wrapping)
    [wrapped_shown] = shown(house.token, inside)
    making.check_wrappable(public, wrapped_shown)
    wrapped = house.gate.wrap(house.caller, wrapping, inside, mechanism_of(found))
    back = chosen(Mechanism(ckm, parameter), CKF.UNWRAP)
    new = making.unwrapped(
        private, ((CKA.CLASS, CKO.SECRET_KEY), (CKA.KEY_TYPE, CKK.AES), (CKA.EXTRACTABLE, True))
    )
    made = house.gate.unwrap(house.caller, wrapping, mechanism_of(back), wrapped, new)
    with (
        house.gate.value(house.caller, made) as one,
        house.gate.value(house.caller, inside) as other,
    ):
        assert one == other
    [again] = shown(house.token, made)
    assert again.value(CKA.VALUE_LEN) == 32
    assert again.flag(CKA.LOCAL) is False


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.DERIVE))
def test_derivation(house: House, ckm: int, key_type: int) -> None:
    key = house.key(key_type)
    parameter = parameter_of(house, ckm, key_type)
    if ckm == CKM.SP800_108_COUNTER_KDF:
        prf = CKM.AES_CMAC if key_type == CKK.AES else CKM.SHA256_HMAC
        parameter = msgspec.structs.replace(parameter, prf=prf)
    found = chosen(Mechanism(ckm, parameter), CKF.DERIVE)
    template: Template = ((CKA.KEY_TYPE, CKK.AES), (CKA.VALUE_LEN, 32))
    new = making.derived(found, house.halves(key)[0], template)
    made = house.gate.derive(house.caller, key, mechanism_of(found), new)
    [one] = shown(house.token, made)
    assert (one.value(CKA.KEY_TYPE), one.value(CKA.VALUE_LEN)) == (CKK.AES, 32)
    assert one.flag(CKA.TOKEN) is False


@pytest.mark.parametrize("key_type", [CKK.GENERIC_SECRET, CKK.AES])
def test_a_key_of_a_password(house: House, key_type: int) -> None:
    [parameter] = [each for number, _, each, _ in GOOD if number == CKM.PKCS5_PBKD2]
    assert isinstance(parameter, parameters.Pbkdf2)
    found = chosen(Mechanism(CKM.PKCS5_PBKD2, parameter), CKF.GENERATE)
    new = making.password_key(parameter)
    password = house.gate.manage(house.caller, actions.Create(house.token, new, OPEN))
    assert isinstance(password, Key)
    wanted = making.stretched(((CKA.KEY_TYPE, key_type), (CKA.VALUE_LEN, 32)))
    made = house.gate.derive(house.caller, password, mechanism_of(found), wanted)
    assert shown(house.token, made)[0].value(CKA.VALUE_LEN) == 32


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.ENCAPSULATE, CKF.DECAPSULATE))
def test_encapsulation(house: House, ckm: int, key_type: int) -> None:
    key = house.key(key_type)
    found = chosen(Mechanism(ckm), CKF.ENCAPSULATE)
    private, public = house.halves(key)
    template: Template = (
        (CKA.KEY_TYPE, CKK.AES),
        (CKA.EXTRACTABLE, True),
        (CKA.SENSITIVE, False),
    )
    ciphertext, one = house.gate.encapsulate(
        house.caller, key, mechanism_of(found), making.derived(found, public, template)
    )
    new = making.derived(chosen(Mechanism(ckm), CKF.DECAPSULATE), private, template)
    other = house.gate.decapsulate(house.caller, key, mechanism_of(found), ciphertext, new)
    values = [
        making.secret_value(house.gate, house.caller, made, CKA.VALUE) for made in (one, other)
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 32


GENERATED = [each for each in cases(CKF.GENERATE) if CKM.PKCS5_PBKD2 not in each.values]


@pytest.mark.parametrize(("ckm", "key_type"), GENERATED)
def test_secret_keys_are_made(house: House, ckm: int, key_type: int) -> None:
    assert SECRETS[key_type] == ckm
    [one] = shown(house.token, house.key(key_type))
    assert one.value(CKA.KEY_TYPE) == key_type
    assert one.value(CKA.KEY_GEN_MECHANISM) == ckm
    assert one.flag(CKA.ALWAYS_SENSITIVE)


@pytest.mark.parametrize(("ckm", "key_type"), cases(CKF.GENERATE_KEY_PAIR))
def test_key_pairs_are_made(house: House, ckm: int, key_type: int) -> None:
    assert PAIRS[key_type][0] == ckm
    private, public = house.halves(house.key(key_type))
    for half in (private, public):
        assert half.value(CKA.KEY_TYPE) == key_type
        assert half.value(CKA.KEY_GEN_MECHANISM) == ckm
    assert (private.cko, public.cko) == (CKO.PRIVATE_KEY, CKO.PUBLIC_KEY)


@pytest.mark.parametrize("ckm", [ckm for ckm, row in ROWS.items() if row.flags & CKF.DIGEST])
def test_digests(ckm: int) -> None:
    chosen_ = chosen(Mechanism(ckm), CKF.DIGEST, legacy=ROWS[ckm].legacy)
    assert hasher(chosen_).digest()


# --- what was made can be read and brought in again --------------------------------------


@pytest.mark.parametrize("key_type", sorted(PAIRS))
def test_a_key_pair_leaves_by_its_parts_and_comes_back(house: House, key_type: int) -> None:
    key = house.made(key_type, (CKA.EXTRACTABLE, True), (CKA.SENSITIVE, False))
    private, public = house.halves(key)
    assert private.form is not None
    parts = tuple(
        (cka, memoryview(making.secret_value(house.gate, house.caller, key, cka)))
        for cka in private.form.secret
    )
    numbers = tuple(
        (cka, public.value(cka))
        for cka in (CKA.KEY_TYPE, CKA.MODULUS, CKA.PUBLIC_EXPONENT, CKA.EC_PARAMS)
        if cka in public.table
    )
    template: Any = ((CKA.CLASS, CKO.PRIVATE_KEY), *numbers, *private.form.parameters, *parts)
    template = tuple(dict(template).items())
    new = making.new_object(template)
    with new.material or Secret(0):
        again = house.gate.manage(house.caller, actions.Create(house.token, new, OPEN))
    assert isinstance(again, Key)
    assert again.id == key.id
    assert [each.cko for each in shown(house.token, again)] == [CKO.PRIVATE_KEY]


@pytest.mark.parametrize("key_type", [CKK.EC, CKK.AES])
def test_a_copy_is_the_same_key(house: House, key_type: int) -> None:
    key = house.made(key_type, (CKA.EXTRACTABLE, True), (CKA.LABEL, b"first"))
    new = making.copied(
        house.gate, house.caller, shown(house.token, key)[0], ((CKA.LABEL, b"second"),)
    )
    with new.material or Secret(0):
        copy = house.gate.manage(house.caller, actions.Create(house.token, new, OPEN))
    assert isinstance(copy, Key)
    assert shown(house.token, copy)[0].value(CKA.LABEL) == b"second"
    with (
        house.gate.value(house.caller, key) as one,
        house.gate.value(house.caller, copy) as other,
    ):
        assert one == other


def test_a_key_that_was_told_to_stay_leaves_by_no_door(house: House) -> None:
    key = house.made(CKK.EC, (CKA.EXTRACTABLE, True))
    [private, _] = house.halves(key)
    changes = making.changed(private, ((CKA.EXTRACTABLE, False),))
    changed = house.gate.manage(house.caller, actions.Change(key, changes))
    assert isinstance(changed, Key)
    assert not changed.exportable
    for one in (key, changed):
        with pytest.raises(NotExportable):
            house.gate.value(house.caller, one)
    [now, _] = house.halves(changed)
    assert (now.flag(CKA.EXTRACTABLE), now.flag(CKA.NEVER_EXTRACTABLE)) == (False, False)
