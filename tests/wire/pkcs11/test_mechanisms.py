"""Parameters of mechanisms: the table against the standard's structures, and both directions."""

import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.pkcs11 import header
from tests.wire.pkcs11.strategies import BYTES, ULONG

from keyholm.wire.codec import Malformed, Reader
from keyholm.wire.pkcs11 import mechanisms, parameters
from keyholm.wire.pkcs11.constants import CK, CKG, CKM
from keyholm.wire.pkcs11.mechanisms import (
    FORMS,
    MESSAGE_FORMS,
    NO_MECHANISM,
    PARAMETERLESS,
    STOCK_FORMS,
    WRAP_FORMS,
    Mechanism,
    Way,
)
from keyholm.wire.pkcs11.parameters import FieldKind, Flow, Form, Parameter, compiled

TABLES = (FORMS, WRAP_FORMS, MESSAGE_FORMS)
ALL_FORMS = list({(f.structure, f.name): f for table in TABLES for f in table.values()}.values())
# Members that do not cross: how many keys are wanted besides is enough to refuse them.
NOT_SENT = {"pAdditionalDerivedKeys"}
ULONG_TYPES = re.compile(
    r"CK_ULONG|CK_\w+_TYPE|CK_OBJECT_HANDLE|CK_\w+_METHOD|CK_GENERATOR_FUNCTION"
)

PSS = Mechanism(CKM.SHA256_RSA_PKCS_PSS, parameters.Pss(CKM.SHA256, CKG.MGF1_SHA256, 32))
PSS_FIELDS = struct.pack(">QQQ", CKM.SHA256, CKG.MGF1_SHA256, 32)


def read(way: Way, data: bytes, **more: bool) -> Mechanism:
    reader = Reader(data)
    mechanism = mechanisms.reader(way, **more)(reader)
    reader.end()
    return mechanism


@pytest.mark.parametrize("form", ALL_FORMS, ids=lambda form: form.structure)
def test_a_form_is_the_structure_of_the_standard(form: Form) -> None:
    named = [field for field in form.fields if field.c]
    if not named:
        assert len(form.fields) == 1
        return
    members = {name: type_ for type_, name in header.structures()[form.structure]}
    assert {name for field in named for name in field.c.split()} | NOT_SENT == set(
        members
    ) | NOT_SENT
    for field in form.fields:
        types = [members[name] for name in field.c.split()]
        match field.kind:
            case FieldKind.ULONG:
                assert len(types) == 1
                assert ULONG_TYPES.fullmatch(types[0])
            case FieldKind.BOOL:
                assert types == ["CK_BBOOL"]
            case FieldKind.OAEP:
                assert types == ["CK_RSA_PKCS_OAEP_PARAMS *"]
            case FieldKind.DATA_PARAMS:
                assert types == ["CK_PRF_DATA_PARAM *", "CK_ULONG"]
            case _ if field.size and types[0].endswith("]"):
                assert types == [f"CK_BYTE[{field.size}]"]
            case _:
                assert types[0] in ("CK_BYTE *", "CK_UTF8CHAR *", "void *")
                assert types[1:] == ([] if field.size else ["CK_ULONG"])


@pytest.mark.parametrize("form", ALL_FORMS, ids=lambda form: form.structure)
def test_the_class_of_a_form_has_its_fields(form: Form) -> None:
    assert form.kind.__struct_fields__ == tuple(field.name for field in form.fields)


def test_a_mechanism_has_one_form_or_none() -> None:
    listed = [number for _, numbers in mechanisms._BY_FORM for number in numbers]
    assert len(listed) == len(set(listed))
    assert len(PARAMETERLESS) == len(set(PARAMETERLESS))
    assert not FORMS.keys() & set(PARAMETERLESS)
    assert STOCK_FORMS.items() <= FORMS.items()


def field_values(form: Form) -> st.SearchStrategy[Parameter]:
    kinds: dict[FieldKind, st.SearchStrategy[Any]] = {
        FieldKind.ULONG: ULONG,
        FieldKind.BOOL: st.booleans(),
        FieldKind.BYTES: BYTES,
        FieldKind.BITS: BYTES,
        FieldKind.OAEP: st.builds(parameters.Oaep, ULONG, ULONG, ULONG, BYTES),
        FieldKind.DATA_PARAMS: st.lists(DATA_PARAMS, max_size=3).map(tuple),
    }
    parts = (
        st.binary(min_size=field.size, max_size=field.size)
        if field.size and field.flow is not Flow.TAG
        else kinds[field.kind]
        for field in form.fields
    )
    return st.builds(form.kind, *parts)


FORMAT = st.builds(parameters.CounterFormat, st.booleans(), ULONG)
DKM = st.builds(parameters.DkmLength, ULONG, st.booleans(), ULONG)
DATA_PARAMS = st.one_of(
    st.builds(
        parameters.DataParam,
        st.sampled_from([CK.SP800_108_ITERATION_VARIABLE, CK.SP800_108_COUNTER]),
        st.one_of(st.none(), FORMAT),
    ),
    st.builds(parameters.DataParam, st.just(CK.SP800_108_DKM_LENGTH), DKM),
    st.builds(parameters.DataParam, st.just(CK.SP800_108_BYTE_ARRAY), BYTES),
    st.builds(parameters.DataParam, st.just(CK.SP800_108_KEY_HANDLE), ULONG),
    st.builds(parameters.DataParam, st.just(99), BYTES),
)


@pytest.mark.parametrize("form", ALL_FORMS, ids=lambda form: form.structure)
@given(data=st.data())
def test_fields_are_read_as_they_were_written(form: Form, data: st.DataObject) -> None:
    parameter = data.draw(field_values(form))
    codec = compiled(form)
    written = codec.write(parameter)
    reader = Reader(written)
    assert codec.read(reader) == parameter
    reader.end()
    for end in range(len(written)):
        with pytest.raises(Malformed):
            codec.read(Reader(written[:end]))


@pytest.mark.parametrize(
    ("way", "mechanism", "data"),
    [
        # Debian's p11-kit-client.so 0.24.1, C_SignInit with CKM_ECDSA
        (Way.OLD, Mechanism(CKM.ECDSA), bytes.fromhex("00001041ffffffff")),
        (Way.NEW, Mechanism(CKM.ECDSA), bytes.fromhex("00001041")),
        (Way.OURS, Mechanism(CKM.ECDSA), bytes.fromhex("0000104100")),
        (Way.OLD, PSS, struct.pack(">I", CKM.SHA256_RSA_PKCS_PSS) + PSS_FIELDS),
        (Way.NEW, PSS, struct.pack(">IB", CKM.SHA256_RSA_PKCS_PSS, 1) + PSS_FIELDS),
        (Way.OURS, PSS, struct.pack(">IBI", CKM.SHA256_RSA_PKCS_PSS, 1, 24) + PSS_FIELDS),
        (Way.NEW, Mechanism(CKM.RSA_PKCS_PSS), bytes.fromhex("0000000d00")),
        (Way.OLD, NO_MECHANISM, b"\xff\xff\xff\xff"),
        (Way.NEW, NO_MECHANISM, b"\xff\xff\xff\xff"),
        (Way.OURS, NO_MECHANISM, b"\xff\xff\xff\xff\0"),
        (Way.OURS, Mechanism(0x80000001, b"raw"), bytes.fromhex("80000001 02 00000003 726177")),
        (
            Way.OURS,
            Mechanism(CKM.EDDSA, parameters.Eddsa(prehash=True, context=b"c")),
            bytes.fromhex("00001057 01 00000006 01 00000001 63"),
        ),
    ],
)
def test_how_a_mechanism_crosses(way: Way, mechanism: Mechanism, data: bytes) -> None:
    assert mechanisms.writer(way)(mechanism) == data
    assert read(way, data) == mechanism


@pytest.mark.parametrize(
    ("way", "data"),
    [
        (Way.OLD, "00001041 00000000"),  # a parameter where there is none
        (Way.NEW, "0000000d 02"),
        (Way.OURS, "00001041 03"),
        (Way.OURS, "0000000d 01 00000010" + 16 * "00"),  # cut
        (Way.OURS, "0000000d 01 00000019" + 25 * "00"),  # too much
        (Way.OURS, "00001085 01 00000013 0000000f" + 15 * "00"),  # an IV of 15 bytes
        # RSA_AES_KEY_WRAP, whose OAEP parameter has a byte too much
        (Way.OURS, "00001054 01 00000029" + 8 * "00" + "0000001d" + 29 * "00"),
        (Way.OURS, "000003ac 01 0000000c 0000000000000001 ffffffff"),  # boastful
    ],
)
def test_what_is_no_mechanism_is_refused(way: Way, data: str) -> None:
    with pytest.raises(Malformed):
        read(way, bytes.fromhex(data))


def test_a_newer_modules_form_is_kept_for_who_knows_the_mechanism() -> None:
    """An old daemon answers CKR_MECHANISM_INVALID then, and the connection lives."""
    assert read(Way.OURS, bytes.fromhex("00000fff 01 00000002 abcd")) == Mechanism(
        0xFFF, b"\xab\xcd"
    )


def test_an_authenticated_wrap_has_another_structure() -> None:
    mechanism = Mechanism(CKM.AES_GCM, parameters.GcmWrap(b"iv", 0, CKG.GENERATE, b"", 128))
    data = mechanisms.writer(Way.OURS, authenticated=True)(mechanism)
    assert read(Way.OURS, data, authenticated=True) == mechanism
    with pytest.raises(Malformed):
        read(Way.OURS, data)


def test_a_password_is_not_copied() -> None:
    mechanism = Mechanism(
        CKM.PKCS5_PBKD2, parameters.Pbkdf2(1, b"salt", 1000, 4, b"", memoryview(b"secret"))
    )
    frame = bytearray(mechanisms.writer(Way.OURS)(mechanism))
    got = mechanisms.reader(Way.OURS)(Reader(frame)).parameter
    frame[:] = bytes(len(frame))
    assert isinstance(got, parameters.Pbkdf2)
    assert got.password == bytes(6)
    assert "secret" not in repr(mechanism)


def test_parameters_of_messages() -> None:
    parameter = parameters.GcmMessage(b"nonce", 0, CKG.GENERATE_RANDOM, 128, b"")
    fields = mechanisms.write_message(CKM.AES_GCM, parameter)
    assert mechanisms.read_message(CKM.AES_GCM, fields) == parameter
    assert mechanisms.read_message(CKM.ECDSA, fields) is None
    with pytest.raises(Malformed):
        mechanisms.read_message(CKM.AES_GCM, fields + b"\0")


def test_what_a_derivation_makes_of_its_parameter() -> None:
    assert mechanisms.update(Mechanism(CKM.CONCATENATE_BASE_AND_KEY)) == b""
    assert mechanisms.update(Mechanism(CKM.ECDH1_DERIVE)) == b"\0"
    assert mechanisms.update(Mechanism(CKM.ECDH1_DERIVE, parameters.Ecdh1(1, b"", b"p"))) == b"\1"


def test_a_mechanism_without_its_parameter_is_not_written() -> None:
    with pytest.raises(TypeError, match="CKM_RSA_PKCS_PSS"):
        mechanisms.writer(Way.OLD)(Mechanism(CKM.RSA_PKCS_PSS))
    with pytest.raises(TypeError, match="CKM_ECDSA"):
        mechanisms.writer(Way.OURS)(Mechanism(CKM.ECDSA, PSS.parameter))


@pytest.mark.parametrize("way", Way)
@given(data=st.binary(max_size=120))
def test_any_bytes_are_a_mechanism_or_malformed(way: Way, data: bytes) -> None:
    for authenticated in (False, True):
        try:
            mechanisms.reader(way, authenticated=authenticated)(Reader(data))
        except Malformed:
            continue


@pytest.mark.parametrize("number", sorted(FORMS))
@given(fields=st.binary(max_size=80))
def test_any_fields_are_a_parameter_or_malformed(number: int, fields: bytes) -> None:
    data = struct.pack(">IBI", number, 1, len(fields)) + fields
    try:
        mechanism = read(Way.OURS, data)
    except Malformed:
        return
    assert mechanism.parameter is not None
