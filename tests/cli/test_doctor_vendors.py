"""What the doctor finds of vendors' modules, of this machine, and of the tokens behind them."""

import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from keyholm.cli.checks import machine, vendors
from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding
from keyholm.cli.modules.trial import Failure, SlotSeen, TokenSeen, Trial
from keyholm.daemon.module_files import ModuleSettings
from keyholm.stores.modules.identity import Identity
from keyholm.stores.modules.info import ModuleInfo
from keyholm.wire.pkcs11.constants import CKF

CARDS = ModuleSettings("/usr/lib/opensc-pkcs11.so", sockets=("/run/pcscd",))
SOFT = ModuleSettings("/usr/lib/libsofthsm2.so")
NOW = 1_800_000_000.0
READY = CKF.TOKEN_INITIALIZED | CKF.USER_PIN_INITIALIZED | CKF.LOGIN_REQUIRED
READER = CKF.REMOVABLE_DEVICE | CKF.HW_SLOT
TOKEN = TokenSeen(Identity("1", "work", "PIV", "maker"), READY, "", (0x1041,), p256=True)
INFO = ModuleInfo((2, 40), "maker", "module", (1, 0), (2, 40), ())


def trial(*slots: SlotSeen, isolation: str = "full") -> Trial:
    return Trial("acme", "/usr/lib/acme.so", isolation, INFO, slots)


def slot(token: TokenSeen | None = TOKEN, *, flags: int = READER, error: str = "") -> SlotSeen:
    return SlotSeen(0, "Reader 1", flags, token, error)


def found(tried: Trial, settings: ModuleSettings = CARDS) -> list[Finding]:
    return list(vendors.of_trial(tried, settings, NOW))


def only_wrong(findings: Sequence[Finding]) -> Finding:
    (wrong,) = [finding for finding in findings if finding.level != GOOD]
    assert wrong.what.endswith(".")
    assert (wrong.level == BAD) == (wrong.status > 0)
    return wrong


def about(flags: int = READY, **changed: object) -> Finding:
    token = replace(TOKEN, flags=flags, **changed)  # type: ignore[arg-type]
    return only_wrong(found(trial(slot(token))))


def test_a_module_that_works_is_told_of_with_its_tokens() -> None:
    (good,) = found(trial(slot(), slot(None, flags=0)))
    assert (good.level, good.what) == (GOOD, "acme works: 1 token (work).")


def test_one_that_does_not_start_says_at_what_and_its_last_line() -> None:
    failed = Trial("acme", "/a", failure=Failure("load", "No.", "Do."), lines=("one", "two"))
    wrong = only_wrong(found(failed))
    assert (wrong.level, wrong.what, wrong.why, wrong.remedy) == (
        BAD,
        "No.",
        "It wrote: two",
        "Do.",
    )


def test_one_that_is_not_shut_in_is_told_of() -> None:
    wrong = only_wrong(found(trial(slot(), isolation="crash only (no namespaces)")))
    assert wrong.level == WARNING
    assert "crash only (no namespaces)" in wrong.what


# --- readers and cards ---------------------------------------------------------------


def test_a_reader_without_a_card() -> None:
    wrong = only_wrong(found(trial(slot(None))))
    assert (wrong.what, wrong.remedy) == ("There is no card in Reader 1.", "Insert it.")


def test_an_empty_slot_of_a_reader_with_a_card_is_nothing_to_tell() -> None:
    assert [each.level for each in found(trial(slot(), slot(None)))] == [GOOD]


def test_no_reader_at_all() -> None:
    assert "finds no card reader" in only_wrong(found(trial())).what
    assert only_wrong(found(trial(), SOFT)).what == "acme has no slot, and so no keys."


def test_a_card_that_cannot_be_read() -> None:
    wrong = only_wrong(found(trial(slot(None, error="Reader 1 failed."))))
    assert wrong.what == "Reader 1 failed."
    assert "Another program may have taken the card" in wrong.why


def process(folder: Path, pid: int, name: str) -> None:
    (folder / str(pid)).mkdir()
    (folder / str(pid) / "comm").write_text(f"{name}\n")


def test_scdaemon_is_known_to_take_cards_for_itself(tmp_path: Path) -> None:
    process(tmp_path, 10, "pcscd")
    assert machine.card_holder(str(tmp_path)) is None
    process(tmp_path, 11, "scdaemon")
    holder = machine.card_holder(str(tmp_path))
    assert holder == ("scdaemon", 11)
    for tried in (trial(slot(None)), trial(), trial(slot(None, error="It failed."))):
        (wrong,) = vendors.of_slots(tried, holder)
        assert wrong.why == "scdaemon of GnuPG (process 11) may hold it for itself."
        assert wrong.remedy.startswith("gpgconf --kill scdaemon")


# --- tokens --------------------------------------------------------------------------


def test_a_token_that_was_never_initialised() -> None:
    blank = slot(replace(TOKEN, flags=0), flags=0)
    wrong = only_wrong(found(trial(blank), SOFT))
    assert wrong.what == "acme has no token that is initialised."
    assert wrong.remedy == "pkcs11-tool --module /usr/lib/acme.so --init-token --label NAME"
    assert [each.level for each in found(trial(blank, slot()), SOFT)] == [GOOD]


def test_a_locked_pin_is_bad_and_one_try_left_is_a_warning() -> None:
    locked = about(READY | CKF.USER_PIN_LOCKED | CKF.USER_PIN_FINAL_TRY)
    assert (locked.level, locked.what) == (BAD, "The PIN of work is locked.")
    assert locked.remedy.startswith("ykman piv access unblock-pin")
    last = about(READY | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_COUNT_LOW)
    assert (last.level, last.what) == (WARNING, "The PIN of work has one try left.")
    assert about(READY | CKF.USER_PIN_COUNT_LOW).what == "A PIN of work was wrong lately."
    assert "officer's PIN of work is locked" in about(READY | CKF.SO_PIN_LOCKED).what


def test_a_token_without_a_pin_for_its_user() -> None:
    wrong = about(CKF.TOKEN_INITIALIZED | CKF.LOGIN_REQUIRED)
    assert wrong.what == "work has no PIN for its user yet."
    assert "--init-pin" in wrong.remedy


def test_a_module_that_has_no_p256_is_told_where_such_keys_can_be() -> None:
    wrong = about(p256=False)
    assert wrong.what == "acme cannot use P-256 keys with work."
    assert "keyholm new NAME --type ecdsa-p256" in wrong.remedy


def test_a_clock_that_is_off() -> None:
    clock = READY | CKF.CLOCK_ON_TOKEN
    wrong = about(clock, utc_time="2027011509000000")
    assert wrong.what == "The clock of work is 3600 s ahead of this machine's."
    assert "behind this machine's" in about(clock, utc_time="2020010100000000").what
    right = replace(TOKEN, flags=clock, utc_time="2027011508000000")
    same = list(vendors.of_trial(trial(slot(right)), CARDS, machine.time_of(right.utc_time) or 0))
    assert [each.level for each in same] == [GOOD]
    assert machine.time_of("no clock") is None
    assert machine.time_of("1970010100000100") == 1.0


@pytest.mark.parametrize(
    ("library", "command"),
    [
        ("/usr/lib/libsofthsm2.so", "softhsm2-util --init-token"),
        ("/usr/lib/libtpm2_pkcs11.so.1", "tpm2_ptool"),
        ("/opt/a.so", "pkcs11-tool --module /opt/a.so --init-token"),
    ],
)
def test_how_a_token_is_initialised_depends_on_the_module(library: str, command: str) -> None:
    assert machine.initialising(library).startswith(command)


# --- this machine --------------------------------------------------------------------


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


def test_a_daemon_that_answers_is_no_finding(short: Path) -> None:
    path = short / "pkcsslotd.socket"
    settings = ModuleSettings("/a.so", sockets=(str(path), str(short)))
    (wrong,) = machine.silent_daemons("acme", settings)
    assert (wrong.what, wrong.level) == ("pkcsslotd does not run.", BAD)
    assert wrong.why == f"acme is to reach it at {path}: it is not there."
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        (wrong,) = machine.silent_daemons("acme", settings)
        assert wrong.why.endswith(": nobody listens.")
        daemon.listen()
        assert list(machine.silent_daemons("acme", settings)) == []


def test_a_daemon_that_listens_is_not_connected_to(short: Path) -> None:
    """openCryptoki's ends when somebody connects and hangs up."""
    path = short / "pkcsslotd.socket"
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        daemon.listen()
        daemon.setblocking(False)
        (short / "link").symlink_to(short)
        assert machine.trouble_at(f"{short}/link/pkcsslotd.socket") == ""
        with pytest.raises(BlockingIOError):
            daemon.accept()
        # It is in another namespace, so that the kernel does not list it here.
        assert machine.trouble_at(str(path), table="/dev/null") == ""
        daemon.accept()[0].close()
    assert machine.trouble_at(str(path)) == "nobody listens"
    assert machine.trouble_at(__file__) == "it is no socket"


def test_an_unknown_daemon_is_named_by_its_socket(short: Path) -> None:
    settings = ModuleSettings("/a.so", sockets=(f"{short}/x",))
    (wrong,) = machine.silent_daemons("acme", settings)
    assert wrong.what == f"Nobody answers at {short}/x."


def test_a_module_reads_cards_if_it_may_reach_pcscd() -> None:
    assert machine.reads_cards(CARDS)
    assert machine.reads_cards(ModuleSettings("/a", sockets=("/run/pcscd/pcscd.comm",)))
    own = ModuleSettings("/a", env={"PCSCLITE_CSOCK_NAME": "/my/comm"}, sockets=("/my/comm",))
    assert machine.reads_cards(own)
    assert not machine.reads_cards(ModuleSettings("/a", sockets=("/run/other",)))


def facts(mode: int, uid: int = 0, gid: int = 5) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "user", "groups", "access", "allowed"),
    [
        (0o600, 0, (), 6, True),  # root may do all
        (0o640, 7, (7,), 4, False),
        (0o640, 7, (7, 5), 4, True),
        (0o640, 7, (7, 5), 6, False),
        (0o604, 7, (7,), 4, True),
        (0o604, 7, (7, 5), 4, False),  # the group's permissions count, and they are none
        (0o066, 1000, (), 4, False),  # so do the owner's
    ],
)
def test_who_may_do_what_with_a_file(
    mode: int, user: int, groups: tuple[int, ...], access: int, allowed: bool
) -> None:
    owner = 1000 if user == 1000 else 0
    assert machine.may(facts(mode, owner), access, user, groups) is allowed


def test_what_this_user_may_not_touch_names_the_group_that_may() -> None:
    wrong = machine.no_access("acme", "/dev/tpmrm0", facts(0o660, gid=0), 6)
    assert wrong.what == "You may not write to /dev/tpmrm0, which acme is to use."
    assert "setfacl -m u:" in wrong.remedy  # nobody shall join root's group
    wrong = machine.no_access("acme", "/etc/x", facts(0o640, gid=1), 4)
    assert wrong.what.startswith("You may not read /etc/x")
    assert wrong.remedy.startswith("sudo usermod -aG ")
    assert "mode 0640" in wrong.why


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    settings = ModuleSettings(
        "/a.so",
        reads=(f"{tmp_path}/r",),
        devices=(f"{tmp_path}/d", "/dev/none*"),
        sockets=(f"{tmp_path}/s",),
    )
    file, device = machine.out_of_reach("acme", settings)
    assert (file.level, device.level) == (WARNING, BAD)
    assert f"{tmp_path}/r" in file.what
    assert "dmesg" in device.remedy
    for name in ("r", "d"):
        (tmp_path / name).touch()
    assert list(machine.out_of_reach("acme", settings)) == []
