"""Vendors' modules that crash, hang, lie and pry: only their own worker notices.

Each runs in a real daemon, beside a key on disk that has to go on signing.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.clients import FAILURE, SIGNATURE, held, keeper, wait_for
from tests.faults.module_house import House, program_signs
from tests.interop.conftest import Home
from tests.torture.conftest import torture_module
from tests.torture.rig import Torture

from keyholm.cli.module_file import module_file

__all__ = ["torture_module"]

KEY = "p256"
# What ends a worker in a call, and how `keyholm why` says it.
DEADLY = {
    "segfault": "vendor died of SIGSEGV during C_Sign.",
    "abort": "vendor died of SIGABRT during C_Sign.",
    "exit": "vendor ended with status 3 during C_Sign.",
    "loop": "vendor was ended: C_Sign took longer than 2 s.",
}


@contextmanager
def opened(home: Home, **modules: Torture) -> Iterator[House]:
    home.keyholm("init", "--no-passphrase")
    house = House(home, modules)
    house.configure()
    with house.serving():
        house.open()
        yield house


@pytest.fixture
def house(home: Home, torture_module: Path) -> Iterator[House]:
    torture = Torture.make(torture_module, home.folder / "torture")
    with opened(home, vendor=torture) as house:
        yield house


@pytest.fixture
def vendor(house: House) -> Torture:
    return house.modules["vendor"]


@pytest.fixture
def program() -> str:
    """keyholm's own PKCS#11 module."""
    path = module_file()
    if not path:
        pytest.skip("the native module is not built: it needs a C compiler, then `dev.py setup`")
    return path


# --- what ends a worker --------------------------------------------------------------------


@pytest.mark.parametrize("act", DEADLY)
def test_a_module_that_ends_takes_only_its_worker_along(
    house: House, vendor: Torture, act: str
) -> None:
    request, daemon = house.request(KEY), keeper(house.home)
    assert house.signs(request)
    with house.going_on():
        vendor.order("C_Sign", act, number=3)
        assert house.answer(request) == FAILURE
        assert house.signs(request)  # at once
    assert vendor.was_obeyed()
    assert keeper(house.home) == daemon
    assert DEADLY[act] in house.why()


def test_every_door_is_told_in_its_own_words(house: House, vendor: Torture, program: str) -> None:
    vendor.order("C_Sign", "abort")
    assert program_signs(house.home, program, "one", times=2) == [
        "C_Sign CKR_DEVICE_ERROR",
        "signed 64 of 2 slots",
    ]
    vendor.order("C_Sign", "abort")
    said = house.home.keyholm("sign", KEY, str(house.pin), fails=True)
    assert "vendor died of SIGABRT during C_Sign." in said
    assert house.home.keyholm("sign", KEY, str(house.pin))


@pytest.mark.parametrize(
    "call",
    [
        "C_Initialize",
        "C_GetInfo",
        "C_GetSlotList",
        "C_GetTokenInfo",
        "C_OpenSession",
        "C_GetSessionInfo",
        "C_FindObjectsInit",
        "C_FindObjects",
        "C_FindObjectsFinal",
        "C_GetAttributeValue",
        "C_SignInit",
    ],
)
def test_a_module_may_end_in_any_call(house: House, vendor: Torture, call: str) -> None:
    """Those that a fresh worker makes before it signs: it has to come up a second time."""
    request = house.request(KEY)
    assert house.signs(request)
    end_worker(house, vendor, request)
    vendor.order(call, "segfault")
    with house.going_on():
        house.answer(request)  # good if it was somebody else whom it hit
        wait_for(vendor.was_obeyed)
        wait_for(lambda: house.signs(request), seconds=10)


def test_a_pin_that_a_module_died_of_is_not_sent_again(house: House, vendor: Torture) -> None:
    """Nobody knows whether it cost a try. Whoever opens the token anew, does."""
    request = house.request(KEY)
    end_worker(house, vendor, request)
    vendor.order("C_Login", "segfault")
    with house.going_on():
        assert house.answer(request) == FAILURE
        assert house.answer(request) == FAILURE
        assert vendor.was_obeyed()
        house.unlock()
        assert house.signs(request)


def end_worker(house: House, vendor: Torture, request: bytes) -> None:
    vendor.order("C_Sign", "exit")
    assert house.answer(request) == FAILURE


def test_a_module_that_cannot_start_says_why(house: House, vendor: Torture) -> None:
    request = house.request(KEY)
    end_worker(house, vendor, request)
    vendor.order("C_Initialize", "answer", number=0x30, always=True)
    with house.going_on():
        assert house.answer(request) == FAILURE
        assert "CKR_DEVICE_ERROR of C_Initialize" in house.why()
    vendor.no_order()
    wait_for(lambda: house.signs(request), seconds=10)


def test_a_module_that_ends_each_time_is_left_alone_for_a_while(
    house: House, vendor: Torture
) -> None:
    request = house.request(KEY)
    vendor.order("C_Sign", "segfault", always=True)
    with house.going_on():
        for _ in range(4):
            assert house.answer(request) == FAILURE
        assert "is left alone for" in house.why()
        assert "SIGSEGV" in house.why()
    vendor.no_order()
    wait_for(lambda: house.signs(request), seconds=10)


# --- what lies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "act", "number"),
    [
        ("C_Sign", "answer", 0x30),
        ("C_Sign", "answer", 0x4711),
        ("C_Sign", "answer", 0xFFFFFFFFFFFFFFFF),
        ("C_Sign", "huge", 0),
        ("C_Sign", "length", 0),
        ("C_Sign", "length", 65),
        ("C_Sign", "length", 1 << 20),
        ("C_Sign", "grow", 0),
        ("C_SignInit", "random", 0),
    ],
)
def test_a_lie_about_a_signature_is_an_error(
    house: House, vendor: Torture, call: str, act: str, number: int
) -> None:
    request = house.request(KEY)
    vendor.order(call, act, number=number, always=True)
    with house.going_on():
        assert house.answer(request) == FAILURE
        assert call in house.why()
    vendor.no_order()
    assert house.signs(request)


AT_START = (
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_GetMechanismInfo",
    "C_OpenSession",
    "C_FindObjects",
    "C_GetAttributeValue",
)
LIES = [
    (call, act)
    for call in AT_START
    for act in ("huge", "length", "garbage", "grow", "random")
    # Attributes that can be read are believed until its worker ends: nothing tells them apart.
    if (call, act) != ("C_GetAttributeValue", "garbage")
]


@pytest.mark.parametrize(("call", "act"), LIES)
def test_a_module_that_lies_at_its_start_hurts_nobody_else(
    house: House, vendor: Torture, call: str, act: str
) -> None:
    request = house.request(KEY)
    end_worker(house, vendor, request)
    vendor.order(call, act, number=7, always=True)
    with house.going_on():
        house.answer(request)
        house.home.keyholm("list")
    vendor.no_order()
    wait_for(lambda: KEY in house.blobs(), seconds=20)
    house.unlock()  # garbage may look like another token in the place of this one
    assert house.signs(request)


def test_a_token_that_goes_and_comes_is_the_same(house: House, vendor: Torture) -> None:
    request, blobs = house.request(KEY), house.blobs()
    with house.going_on():
        vendor.order("C_GetSlotList", "length", number=0, always=True)
        wait_for(lambda: KEY not in house.blobs())
        assert house.answer(request) == FAILURE
        vendor.no_order()
        wait_for(lambda: KEY in house.blobs())
    assert house.blobs() == blobs


# --- what takes too much -------------------------------------------------------------------


def test_memory_ends_where_its_limit_is(house: House, vendor: Torture) -> None:
    request = house.request(KEY)
    vendor.order("C_Sign", "memory")
    with house.going_on():
        house.answer(request)
        wait_for(lambda: house.signs(request), seconds=10)
    (found,) = vendor.found()
    assert int(found.removeprefix("memory ")) < 512


def test_descriptors_end_where_their_limit_is(house: House, vendor: Torture) -> None:
    request = house.request(KEY)
    vendor.order("C_Sign", "descriptors")
    with house.going_on():
        house.answer(request)
        wait_for(lambda: house.signs(request), seconds=10)
        house.home.keyholm("list")
        wait_for(lambda: house.signs(request), seconds=10)
    (found,) = vendor.found()
    assert int(found.removeprefix("descriptors ")) < 128


def test_a_gigabyte_of_errors_is_read_and_thrown_away(house: House, vendor: Torture) -> None:
    request, log = house.request(KEY), house.home.folder / "log"
    vendor.order("C_Sign", "talk", number=1024)
    with house.going_on():
        house.answer(request)
        wait_for(lambda: house.signs(request), seconds=30)
    assert log.stat().st_size < 1 << 20
    assert held(keeper(house.home)).threads < 40


@pytest.mark.parametrize("act", ["child", "fork"])
def test_a_module_that_forks_leaves_nobody(house: House, vendor: Torture, act: str) -> None:
    """And what the second of two answers is not taken for the answer to another question."""
    request = house.request(KEY)
    house.signs(request)
    before = len(house.processes())
    vendor.order("C_Sign", act)
    with house.going_on():
        house.answer(request)
        for number in range(20):
            data = f"data {number}".encode()
            assert house.signature_is_good(KEY, data)
    end_worker(house, vendor, request)
    assert house.signs(request)
    wait_for(lambda: len(house.processes()) <= before)


def test_a_module_that_takes_the_signals_can_be_ended(house: House, vendor: Torture) -> None:
    request = house.request(KEY)
    vendor.order("C_Sign", "signals")
    assert house.signs(request)
    vendor.order("C_Sign", "loop")
    assert house.answer(request) == FAILURE
    assert house.signs(request)


# --- what pries ----------------------------------------------------------------------------


@pytest.fixture
def closed_in(house: House) -> None:
    said = json.loads(house.home.keyholm("module", "list", "--json"))
    isolation = str(said["modules"][0]["isolation"])
    if "full" not in isolation:
        pytest.skip(f"workers cannot be closed in here: {isolation}")


@pytest.mark.usefixtures("closed_in")
def test_a_module_reaches_nobody(house: House, vendor: Torture) -> None:
    folder = house.home.folder
    run = folder / "kh/run"
    with (
        socket.socket(socket.AF_UNIX) as bus,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket() as network,
    ):
        bus.bind(str(folder / "bus"))
        abstract.bind(f"\0kh-bus-{os.getpid()}")
        network.bind(("127.0.0.1", 0))
        for each in (bus, abstract, network):
            each.listen()
        doors = [run / name for name in ("ssh", "pkcs11", "control")]
        port = network.getsockname()[1]
        vendor.targets(*doors, folder / "bus", f"@kh-bus-{os.getpid()}", f"tcp:{port}")
        vendor.order("C_Sign", "connect")
        assert house.signs(house.request(KEY))
    *tried, done = vendor.found()
    assert len(tried) == 6
    assert done == "connect done"
    assert not [line for line in tried if line.endswith(" ok")]


@pytest.mark.usefixtures("closed_in")
def test_a_module_reads_nothing_that_it_was_not_shown(house: House, vendor: Torture) -> None:
    folder = house.home.folder
    (folder / "secret").write_text("x")
    vendor.targets(
        folder, folder / "secret", folder / "kh", house.pin, os.path.expanduser("~"), "/root",
        "/home", "/etc/shadow", vendor.folder / "targets",
    )  # fmt: skip
    vendor.order("C_Sign", "read")
    assert house.signs(house.request(KEY))
    *tried, allowed, done = vendor.found()
    assert done == "read done"
    assert allowed == f"read {vendor.folder / 'targets'} ok"
    read = [line for line in tried if line.endswith(" ok")]
    # A folder on the way to what is shown is there, with nothing else in it.
    assert not [line for line in read if "secret" in line or "pin" in line or "shadow" in line]


@pytest.mark.usefixtures("closed_in")
def test_a_module_finds_no_other_process(house: House, vendor: Torture) -> None:
    daemon = keeper(house.home)
    vendor.targets(daemon, os.getpid())
    vendor.order("C_Sign", "processes")
    assert house.signs(house.request(KEY))
    found = vendor.found()
    assert found[-1] != "", found
    assert not [line for line in found if "keyholm.cli" in line or "pytest" in line], found
    touched = [line for line in found if line.startswith(("signal ", "trace "))]
    assert len(touched) == 4
    assert not [line for line in touched if line.endswith(" ok")]


# --- what is slow --------------------------------------------------------------------------


def test_a_slow_key_delays_nobody_else(home: Home, torture_module: Path) -> None:
    """Not a key on disk, not one of another module, not one of another token of the same."""
    slow = Torture.make(torture_module, home.folder / "slow", ("one", "two"))
    quick = Torture.make(torture_module, home.folder / "quick", ("three",))
    with opened(home, slow=slow, quick=quick) as house:
        requests = house.requests()
        for request in requests.values():
            assert house.signs(request)
        slow.order("C_Sign", "sleep", number=1500, label="one", always=True)
        with house.going_on() as others, house.asked(requests["one"]) as waiting:
            wait_for(lambda: others.goes_on(20))
            for token in ("two", "three"):
                for _ in range(5):
                    assert house.signs(requests[token])
            assert not waiting.answered()
            slow.no_order()
            assert waiting.answer() == SIGNATURE


# --- the trail -----------------------------------------------------------------------------


def test_each_use_leaves_one_record_whether_it_worked_or_not(house: House, vendor: Torture) -> None:
    request = house.request(KEY)
    before = house.uses("modules")
    for act in ("segfault", "answer"):
        assert house.signs(request)
        vendor.order("C_Sign", act, number=0x30)
        assert house.answer(request) == FAILURE
    good, failed = (now - then for now, then in zip(house.uses("modules"), before, strict=True))
    assert (good, failed) == (2, 2)


def test_two_thousand_uses_are_two_thousand_records(house: House) -> None:
    requests = house.request(KEY)
    good, failed = house.uses("modules")
    house.signs_often(requests, 2000)
    assert house.uses("modules") == (good + 2000, failed)


def test_without_a_trail_no_signature_of_a_vendors_key_gets_out(house: House) -> None:
    request = house.request(KEY)
    with house.broken_trail():
        assert house.answer(request) == FAILURE
        assert house.answer(request) == FAILURE
