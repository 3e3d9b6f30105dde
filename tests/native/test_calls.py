"""Single calls: what reaches the daemon, what comes back, and what is refused on the way."""

import ctypes

import pytest
from tests.native.driver import (
    BY_FUNCTION,
    SERIAL,
    ULONG,
    UNAVAILABLE,
    Attribute,
    Failed,
    Mechanism,
    Module,
    attribute,
)
from tests.native.fake_daemon import NULL, SLOT, Failure, FakeDaemon
from tests.native.test_life import arguments_of_nothing

from keyholm.wire.pkcs11.constants import CKA, CKF, CKM, CKO, CKR, CKS
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2

ENDS = {"Finalize", "Initialize"}


# --- every function -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in (*IN_2_40, *IN_3_0, *IN_3_2) if n not in ENDS])
def test_null_in_all_places_is_an_error_of_the_standard(
    module: Module, session: int, daemon: FakeDaemon, name: str
) -> None:
    arguments = arguments_of_nothing(name)
    takes_session = BY_FUNCTION[name].arguments[:1] == ("hSession",)
    if takes_session:
        assert getattr(module, name)(*arguments) != CKR.OK
        arguments[0] = session
    rv = getattr(module, name)(*arguments)
    known = {number for key, number in vars(CKR).items() if isinstance(number, int)}
    assert rv in known
    # Where nothing is wrong with NULL, the daemon was asked.
    needs_something = {"GetFunctionList", "GetInterfaceList", "GetInterface", "GetSlotList"}
    if name in needs_something or "pInfo" in BY_FUNCTION[name].arguments:
        assert rv == CKR.ARGUMENTS_BAD


@pytest.mark.parametrize(
    "name", [n for n in (*IN_2_40, *IN_3_0, *IN_3_2) if "hSession" in BY_FUNCTION[n].arguments]
)
def test_a_session_that_is_none_is_named_or_the_arguments_are(module: Module, name: str) -> None:
    arguments = arguments_of_nothing(name)
    arguments[0] = 0x7FFF1234
    accepted = {CKR.SESSION_HANDLE_INVALID, CKR.ARGUMENTS_BAD}
    assert getattr(module, name)(*arguments) in accepted


def test_functions_of_parallel_days_are_refused(module: Module, session: int) -> None:
    assert module.GetFunctionStatus(session) == CKR.FUNCTION_NOT_PARALLEL
    assert module.CancelFunction(session) == CKR.FUNCTION_NOT_PARALLEL
    assert module.AsyncJoin(session, None, 0, None, 0) == CKR.SESSION_ASYNC_NOT_SUPPORTED


def test_a_call_that_the_daemon_does_not_know_is_told_so(module: Module, session: int) -> None:
    assert module.SeedRandom(session, b"seed", 4) == CKR.FUNCTION_NOT_SUPPORTED


# --- slots and sessions ---------------------------------------------------------------------------


def test_a_list_that_is_too_short_is_answered_with_its_length(
    module: Module, daemon: FakeDaemon
) -> None:
    daemon.handlers["GetSlotList"] = lambda *_: ((1, 2, 3),)
    slots, count = (ULONG * 2)(), ULONG(2)
    assert module.GetSlotList(1, slots, ctypes.byref(count)) == CKR.BUFFER_TOO_SMALL
    assert (count.value, list(slots)) == (3, [0, 0])


def test_room_for_none_is_not_a_null_pointer(module: Module, daemon: FakeDaemon) -> None:
    count = ULONG(0)
    module.GetSlotList(1, (ULONG * 1)(), ctypes.byref(count))
    module.GetSlotList(1, None, ctypes.byref(count))
    assert [arguments[1] for _, arguments in daemon.requests] == [NULL, 0]


def test_the_token_is_described_field_by_field(module: Module, daemon: FakeDaemon) -> None:
    info = ctypes.create_string_buffer(256)
    module.check("GetTokenInfo", SLOT, info)
    assert info.raw[:32] == b"token".ljust(32)
    assert info.raw[80:96] == b"0001".ljust(16)
    assert int.from_bytes(info.raw[96:104], "little") == 0x400
    # "Unavailable" is all ones in either width.
    assert info.raw[104:184] == b"\xff" * 80


def test_a_field_of_another_width_is_not_believed(module: Module, daemon: FakeDaemon) -> None:
    daemon.handlers["GetSlotInfo"] = lambda *_: (b"x" * 65, b"y" * 32, 0, (1, 0), (1, 0))
    assert module.GetSlotInfo(SLOT, ctypes.create_string_buffer(256)) == CKR.DEVICE_ERROR


def test_a_session_must_be_serial(module: Module, daemon: FakeDaemon) -> None:
    with pytest.raises(Failed) as refused:
        module.open_session(SLOT, 0)
    assert refused.value.rv == CKR.SESSION_PARALLEL_NOT_SUPPORTED
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("flags", "before", "after"),
    [
        (SERIAL, CKS.RO_PUBLIC_SESSION, CKS.RO_USER_FUNCTIONS),
        (SERIAL | CKF.RW_SESSION, CKS.RW_PUBLIC_SESSION, CKS.RW_USER_FUNCTIONS),
    ],
)
def test_what_a_session_is_is_known_without_asking(
    module: Module, daemon: FakeDaemon, flags: int, before: int, after: int
) -> None:
    session = module.open_session(SLOT, flags)
    info = module.session_info(session)
    assert (info.slot, info.state, info.flags, info.error) == (SLOT, before, flags, 0)
    module.login(session)
    assert module.session_info(session).state == after
    other = module.open_session(SLOT)
    assert module.session_info(other).state == CKS.RO_USER_FUNCTIONS
    module.check("Logout", session)
    assert module.session_info(session).state == before
    assert daemon.count("GetSessionInfo") == 0


def test_the_last_session_takes_the_login_with_it(module: Module, daemon: FakeDaemon) -> None:
    session = module.open_session(SLOT)
    module.login(session)
    module.check("CloseSession", session)
    assert module.session_info(module.open_session(SLOT)).state == CKS.RO_PUBLIC_SESSION


def test_a_closed_session_stays_invalid_when_its_place_is_taken(
    module: Module, daemon: FakeDaemon
) -> None:
    closed = module.open_session(SLOT)
    module.check("CloseSession", closed)
    opened = module.open_session(SLOT)
    assert opened != closed
    assert module.CloseSession(closed) == CKR.SESSION_HANDLE_INVALID
    module.check("CloseAllSessions", SLOT)
    assert module.CloseSession(opened) == CKR.SESSION_HANDLE_INVALID


def test_thousands_of_sessions_have_handles_of_their_own(
    module: Module, daemon: FakeDaemon
) -> None:
    handles = [module.open_session(SLOT) for _ in range(3000)]
    assert len(set(handles)) == 3000
    for handle in handles[::2]:
        module.check("CloseSession", handle)
    assert module.session_info(handles[1]).slot == SLOT
    assert len(daemon.applications.popitem()[1].sessions) == 1500


# --- objects --------------------------------------------------------------------------------------


def test_templates_cross_with_the_types_of_the_table(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    kept = attribute(CKA.CLASS, CKO.SECRET_KEY), attribute(CKA.LABEL, b"x")
    inner = (Attribute * 2)(*kept)
    mechanisms = (ULONG * 2)(CKM.ECDSA, CKM.EDDSA)
    yes = (ctypes.c_ubyte * 1)(1)
    template = [
        attribute(CKA.CLASS, CKO.PRIVATE_KEY),
        attribute(CKA.LABEL, b"a name"),
        Attribute(CKA.TOKEN, ctypes.addressof(yes), 1),
        Attribute(CKA.WRAP_TEMPLATE, ctypes.addressof(inner), ctypes.sizeof(inner)),
        Attribute(CKA.ALLOWED_MECHANISMS, ctypes.addressof(mechanisms), ctypes.sizeof(mechanisms)),
        attribute(CKA.START_DATE, b"20261125"),
        Attribute(CKA.ID, None, 0),
        attribute(0x80001234, b"a vendor's own"),
    ]
    module.find(session, *template)
    assert daemon.requests[1][1][1] == (
        (CKA.CLASS, CKO.PRIVATE_KEY),
        (CKA.LABEL, b"a name"),
        (CKA.TOKEN, True),
        (CKA.WRAP_TEMPLATE, ((CKA.CLASS, CKO.SECRET_KEY), (CKA.LABEL, b"x"))),
        (CKA.ALLOWED_MECHANISMS, (CKM.ECDSA, CKM.EDDSA)),
        (CKA.START_DATE, b"20261125"),
        (CKA.ID, b""),
        (0x80001234, b"a vendor's own"),
    )


@pytest.mark.parametrize(
    ("wrong", "rv"),
    [
        (Attribute(CKA.CLASS, 1, 3), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.TOKEN, 1, 8), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.START_DATE, 1, 7), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.ALLOWED_MECHANISMS, 1, 12), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.WRAP_TEMPLATE, 1, 23), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.LABEL, 1, UNAVAILABLE), CKR.ATTRIBUTE_VALUE_INVALID),
        (Attribute(CKA.LABEL, None, 1), CKR.ARGUMENTS_BAD),
        (Attribute(1 << 40, 1, 0), CKR.ATTRIBUTE_TYPE_INVALID),
    ],
)
def test_a_value_that_its_type_cannot_have_is_refused_before_it_is_read(
    module: Module, session: int, daemon: FakeDaemon, wrong: Attribute, rv: int
) -> None:
    assert module.FindObjectsInit(session, ctypes.byref(wrong), 1) == rv
    assert module.FindObjectsInit(session, None, 1) == CKR.ARGUMENTS_BAD
    assert module.FindObjectsInit(session, ctypes.byref(wrong), 1 << 40) == CKR.ARGUMENTS_BAD
    assert daemon.count("FindObjectsInit") == 0


def test_templates_nest_to_a_depth_of_four(module: Module, session: int) -> None:
    levels = [attribute(CKA.LABEL, b"in")]
    for _ in range(4):
        inner = levels[-1]
        levels.append(Attribute(CKA.WRAP_TEMPLATE, ctypes.addressof(inner), ctypes.sizeof(inner)))
    assert module.FindObjectsInit(session, ctypes.byref(levels[3]), 1) == CKR.OK
    assert module.FindObjectsInit(session, ctypes.byref(levels[4]), 1) == CKR.ARGUMENTS_BAD


def test_values_come_back_as_the_program_has_them_in_memory(module: Module, session: int) -> None:
    word = ctypes.sizeof(ULONG)
    assert module.read(session, 1, CKA.CLASS) == CKO.PRIVATE_KEY.to_bytes(word, "little")
    assert module.read(session, 1, CKA.TOKEN) == b"\1"
    assert module.read(session, 1, CKA.LABEL) == b"key 1"
    assert module.read(session, 1, CKA.EC_POINT) == b""
    assert module.read(session, 1, CKA.START_DATE) == b"20261125"
    allowed = module.read(session, 1, CKA.ALLOWED_MECHANISMS)
    assert list((ULONG * 2).from_buffer_copy(allowed)) == [CKM.ECDSA, CKM.ECDSA_SHA256]


def test_lengths_are_told_without_a_buffer(module: Module, session: int) -> None:
    kinds = (CKA.CLASS, CKA.LABEL, CKA.WRAP_TEMPLATE, CKA.ALLOWED_MECHANISMS, CKA.TOKEN)
    template = (Attribute * 5)(*(Attribute(kind, None, 0) for kind in kinds))
    module.check("GetAttributeValue", session, 1, template, 5)
    word, size = ctypes.sizeof(ULONG), ctypes.sizeof(Attribute)
    assert [each.length for each in template] == [word, 5, 2 * size, 2 * word, 1]


def test_what_can_be_told_is_told_beside_what_cannot(module: Module, session: int) -> None:
    memory = ctypes.create_string_buffer(64)
    at = ctypes.addressof(memory)
    kinds = [(CKA.VALUE, at, 8), (CKA.LABEL, at + 8, 3), (CKA.ID, at + 16, 8)]
    template = (Attribute * 3)(*(Attribute(*each) for each in kinds))
    assert module.GetAttributeValue(session, 1, template, 3) == CKR.ATTRIBUTE_TYPE_INVALID
    assert [each.length for each in template] == [UNAVAILABLE, UNAVAILABLE, 1]
    assert memory.raw[8:17] == b"\0" * 8 + b"\1"


def test_a_short_buffer_is_named_and_left_alone(module: Module, session: int) -> None:
    memory = ctypes.create_string_buffer(b"...", 4)
    wanted = Attribute(CKA.LABEL, ctypes.addressof(memory), 3)
    rv = module.GetAttributeValue(session, 1, ctypes.byref(wanted), 1)
    assert (rv, wanted.length, memory.raw) == (CKR.BUFFER_TOO_SMALL, UNAVAILABLE, b"...\0")


def test_a_template_in_a_template_is_filled(module: Module, session: int) -> None:
    label, kind = ctypes.create_string_buffer(16), ULONG()
    inner = (Attribute * 3)(
        Attribute(0, ctypes.addressof(kind), ctypes.sizeof(kind)),
        Attribute(0, ctypes.addressof(label), 16),
    )
    wanted = Attribute(CKA.WRAP_TEMPLATE, ctypes.addressof(inner), ctypes.sizeof(inner))
    module.check("GetAttributeValue", session, 1, ctypes.byref(wanted), 1)
    assert wanted.length == 2 * ctypes.sizeof(Attribute)
    assert [each.type for each in inner] == [CKA.CLASS, CKA.LABEL, 0]
    assert (kind.value, label.value, inner[1].length) == (CKO.SECRET_KEY, b"inner", 5)
    wanted.length = ctypes.sizeof(Attribute)
    rv = module.GetAttributeValue(session, 1, ctypes.byref(wanted), 1)
    assert (rv, wanted.length) == (CKR.BUFFER_TOO_SMALL, UNAVAILABLE)


# --- attributes that come along with a search -----------------------------------------------------


def test_what_a_program_reads_of_objects_comes_along_with_its_next_search(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.read(session, 1, CKA.LABEL)
    module.read(session, 1, CKA.ID)
    daemon.requests.clear()
    found = module.find(session, at_once=2)
    read = [(module.read(session, n, CKA.ID), module.read(session, n, CKA.LABEL)) for n in found]
    assert daemon.count("FindObjectsWith") == 4
    # The first reading used what there was of the object, the second had to ask.
    assert daemon.count("GetAttributeValue") == 5
    assert read == [(bytes([n]), b"key %d" % n) for n in range(1, 6)]


def read_both(module: Module, session: int, handle: int) -> tuple[int, bytes, bytes]:
    number, label = ctypes.create_string_buffer(8), ctypes.create_string_buffer(16)
    template = (Attribute * 2)(
        Attribute(CKA.ID, ctypes.addressof(number), 8),
        Attribute(CKA.LABEL, ctypes.addressof(label), 16),
    )
    rv = module.GetAttributeValue(session, handle, template, 2)
    return rv, number.raw[: template[0].length], label.raw[: template[1].length]


def test_it_is_used_once_and_in_any_order(module: Module, session: int, daemon: FakeDaemon) -> None:
    read_both(module, session, 1)
    found = module.find(session, at_once=2)
    daemon.requests.clear()
    for handle in reversed(found):
        assert read_both(module, session, handle) == (0, bytes([handle]), b"key %d" % handle)
    assert daemon.requests == []
    read_both(module, session, found[0])
    assert daemon.names() == ["GetAttributeValue"]


def test_lengths_and_then_values_are_one_reading(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    read_both(module, session, 1)
    found = module.find(session)
    daemon.requests.clear()
    asked = Attribute(CKA.LABEL, None, 0)
    for handle in found:
        module.check("GetAttributeValue", session, handle, ctypes.byref(asked), 1)
        assert asked.length == 5
        assert module.read(session, handle, CKA.LABEL) == b"key %d" % handle
    assert daemon.requests == []


def test_another_call_in_between_makes_it_stale(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    read_both(module, session, 1)
    found = module.find(session)
    renamed = attribute(CKA.LABEL, b"new name")
    module.check("SetAttributeValue", session, found[0], ctypes.byref(renamed), 1)
    assert read_both(module, session, found[0])[2] == b"new name"
    assert read_both(module, session, found[1])[2] == b"key 2"
    assert daemon.count("GetAttributeValue") == 3


def test_a_value_that_did_not_come_along_is_asked_for(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    """Only the daemon can say why there is none."""
    asked = Attribute(CKA.VALUE, None, 0)
    rv = module.GetAttributeValue(session, 1, ctypes.byref(asked), 1)
    assert rv == CKR.ATTRIBUTE_TYPE_INVALID
    module.find(session)
    rv = module.GetAttributeValue(session, 1, ctypes.byref(asked), 1)
    assert (rv, asked.length) == (CKR.ATTRIBUTE_TYPE_INVALID, UNAVAILABLE)
    assert daemon.count("GetAttributeValue") == 2


def test_objects_that_do_not_fit_the_room_are_not_believed(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    daemon.handlers["FindObjects"] = lambda *_: ((1, 2, 3, 4, 5),)
    handles, count = (ULONG * 2)(), ULONG()
    module.check("FindObjectsInit", session, None, 0)
    daemon.handlers["FindObjectsWith"] = lambda *_: ((1, 2, 3), ())
    rv = module.FindObjects(session, handles, 2, ctypes.byref(count))
    assert (rv, list(handles)) == (CKR.DEVICE_ERROR, [0, 0])


# --- bytes ----------------------------------------------------------------------------------------


def test_a_pin_of_null_is_the_protected_path(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    module.Login(session, 1, None, 0)
    module.Login(session, 1, b"", 0)
    assert module.Login(session, 1, None, 4) == CKR.ARGUMENTS_BAD
    assert [arguments[2] for name, arguments in daemon.requests if name == "Login"] == [None, b""]


def test_all_random_bytes_that_were_asked_for_are_given(module: Module, session: int) -> None:
    memory = ctypes.create_string_buffer(200_000)
    module.check("GenerateRandom", session, memory, 200_000)
    assert memory.raw[-32:] != bytes(32)
    assert module.GenerateRandom(session, None, 8) == CKR.ARGUMENTS_BAD


@pytest.mark.parametrize("given", [b"", b"short", b"longer than what was asked for"])
def test_other_than_the_random_bytes_asked_for_is_no_success(
    module: Module, session: int, daemon: FakeDaemon, given: bytes
) -> None:
    daemon.handlers["GenerateRandom"] = lambda *_: (given,)
    memory = ctypes.create_string_buffer(16)
    assert module.GenerateRandom(session, memory, 16) == CKR.DEVICE_ERROR


def test_more_than_the_daemon_takes_is_not_sent(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    size = daemon.largest + 1
    assert module.SeedRandom(session, bytes(size), size) == CKR.DATA_LEN_RANGE
    assert module.SeedRandom(session, b"", 1 << 60) == CKR.DATA_LEN_RANGE
    assert daemon.count("SeedRandom") == 0
    assert module.session_info(session).slot == SLOT


def test_large_data_crosses_whole(module: Module, session: int, daemon: FakeDaemon) -> None:
    data = bytes(range(256)) * 2000
    seen: list[bytes] = []

    def handler(_: object, arguments: list[bytes]) -> tuple[()]:
        seen.append(arguments[1])
        return ()

    daemon.handlers["SeedRandom"] = handler
    module.check("SeedRandom", session, data, len(data))
    assert seen == [data]


def test_a_mechanism_of_null_is_no_mechanism(module: Module, session: int) -> None:
    key = ULONG()
    assert module.GenerateKey(session, None, None, 0, ctypes.byref(key)) == CKR.ARGUMENTS_BAD
    huge = Mechanism(1 << 40)
    rv = module.GenerateKey(session, ctypes.byref(huge), None, 0, ctypes.byref(key))
    assert rv == CKR.MECHANISM_INVALID
    missing = Mechanism(CKM.AES_GCM, None, 48)
    rv = module.GenerateKey(session, ctypes.byref(missing), None, 0, ctypes.byref(key))
    assert rv == CKR.ARGUMENTS_BAD


def test_an_error_of_the_daemon_is_the_programs(
    module: Module, session: int, daemon: FakeDaemon
) -> None:
    def handler(*_: object) -> tuple[()]:
        raise Failure(0x80000042)

    daemon.handlers["SeedRandom"] = handler
    assert module.SeedRandom(session, b"", 0) == 0x80000042
