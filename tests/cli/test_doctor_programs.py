"""The doctor knows which programs know keyholm, and what is wrong with the module."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.registration.house import enable, wish
from tests.cli.test_doctor import home, only, patient, with_status

from keyholm.cli.checks import module, programs
from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding
from keyholm.cli.module_file import module_file
from keyholm.cli.registration import nss
from keyholm.cli.registration.here import (
    CHANGED,
    OFF,
    ON,
    UNKNOWN,
    State,
    state,
    states,
    usual_wish,
)
from keyholm.cli.registration.ledger import Ledger
from keyholm.cli.registration.nss import CHROMIUM, FIREFOX
from keyholm.cli.registration.p11_kit import P11_KIT

__all__ = ["home"]
SOCKET = "/run/user/1000/keyholm/pkcs11"


def chromium_at(place: Path) -> None:
    folder = place / ".pki/nssdb"
    folder.mkdir(parents=True)
    (folder / "pkcs11.txt").write_bytes(b"library=\nname=NSS Internal PKCS #11 Module\n\n")


def finding(found: State) -> Finding:
    (told,) = programs.findings_of(found)
    assert told.check == "programs"
    return told


# --- who knows keyholm ---------------------------------------------------------------


def test_who_does_not_know_keyholm_is_told_of_it(tmp_path: Path) -> None:
    chromium_at(tmp_path)
    asked, ledger = wish(tmp_path), Ledger(tmp_path / "data")
    told = finding(state(ledger, CHROMIUM, "chromium", asked))
    assert (told.level, told.what) == (WARNING, "Chromium does not know keyholm.")
    assert told.remedy == "keyholm enable chromium"


def test_who_knows_keyholm_is_good(tmp_path: Path) -> None:
    chromium_at(tmp_path)
    there = tmp_path / "keyholm-pkcs11.so"
    there.touch()
    ledger = enable(CHROMIUM, wish(tmp_path, module=str(there)))
    told = finding(state(ledger, CHROMIUM, "chromium", wish(tmp_path)))
    assert (told.level, told.what) == (GOOD, "Chromium knows keyholm.")


def test_who_was_told_by_hand_knows_keyholm_too(tmp_path: Path) -> None:
    chromium_at(tmp_path)
    asked = wish(tmp_path, module=str(tmp_path / "keyholm-pkcs11.so"))
    ledger = enable(CHROMIUM, asked)
    shutil.rmtree(tmp_path / "data")
    assert state(ledger, CHROMIUM, "chromium", asked).state == ON


def test_a_module_that_is_gone_is_bad(tmp_path: Path) -> None:
    ledger = enable(P11_KIT, wish(tmp_path, module=str(tmp_path / "keyholm-pkcs11.so")))
    told = finding(state(ledger, P11_KIT, "p11-kit", wish(tmp_path)))
    assert told.level == BAD
    assert told.status
    assert str(tmp_path / "keyholm-pkcs11.so") in told.what
    assert told.remedy == "keyholm enable p11-kit"


def test_what_somebody_changed_is_told(tmp_path: Path) -> None:
    chromium_at(tmp_path)
    ledger = enable(CHROMIUM, wish(tmp_path))
    with (tmp_path / ".pki/nssdb/pkcs11.txt").open("a") as file:
        file.write("library=/other.so\nname=other\n\n")
    found = state(ledger, CHROMIUM, "chromium", wish(tmp_path))
    assert found.state == CHANGED
    assert finding(found).level == WARNING


def test_of_who_cannot_be_told_nothing_is_said(tmp_path: Path) -> None:
    found = state(Ledger(tmp_path), FIREFOX, "firefox", wish(tmp_path))
    assert found.state == UNKNOWN
    assert "profile" in found.why
    assert list(programs.findings_of(found)) == []


def test_every_target_has_a_state_and_each_database_that_was_told(tmp_path: Path) -> None:
    from keyholm.cli.registration.nss import NSS

    chromium_at(tmp_path)
    folder = str(tmp_path / ".pki/nssdb")
    ledger = enable(NSS, wish(tmp_path)._replace(argument=folder), name=f"nss {folder}")
    found = {each.program: each.state for each in states(ledger, wish(tmp_path))}
    assert found[f"nss {folder}"] == ON
    assert found["chromium"] == ON
    assert found["git"] == OFF
    assert "nss" not in found


def test_only_programs_that_are_here_are_looked_at(home: Path) -> None:
    """What is found depends on the machine; that it is one of its programs does not."""
    from keyholm.cli.registration.targets import TARGETS

    for told in programs.programs_know_keyholm(patient(home)):
        name = next(name for name in TARGETS if name in told.what.lower() + told.remedy)
        assert TARGETS[name].program


# --- p11-kit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        ("module: keyholm-pkcs11.so\n", True),
        ("module:/opt/x/keyholm-pkcs11.so\ncritical: no\n", True),
        ("remote: |/usr/bin/keyholm p11 --stdio\n", True),
        (f"remote: unix:path={SOCKET}\n", True),
        (f"module: p11-kit-client.so\nserver-address: unix:path={SOCKET}\n", True),
        ("module: opensc-pkcs11.so\n", False),
        ("# module: keyholm-pkcs11.so\n", False),
        ("remote: unix:path=/run/p11-kit/pkcs11\n", False),
        ("", False),
    ],
)
def test_a_module_file_that_leads_to_keyholm_is_known(content: str, ours: bool) -> None:
    assert programs.leads_to_us(content, SOCKET) is ours


def test_two_files_that_lead_to_keyholm_are_found_and_one_that_is_merged_is_one(
    tmp_path: Path,
) -> None:
    system, user = tmp_path / "system", tmp_path / "user"
    for folder in (system, user):
        folder.mkdir()
        (folder / "keyholm.module").write_text("module: keyholm-pkcs11.so\n")
        (folder / "opensc.module").write_text("module: opensc-pkcs11.so\n")
    folders = [str(system), str(user), str(tmp_path / "none")]
    assert programs.registered(folders, SOCKET) == [str(user / "keyholm.module")]
    (system / "relay.module").write_text("remote: |keyholm p11 --stdio\n")
    assert len(programs.registered(folders, SOCKET)) == 2


def test_root_is_told_that_p11_kit_does_not_look_into_its_home(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: needs root")
    assert list(programs.root_is_heard(patient(home))) == []
    folder = home.parent / ".config/pkcs11/modules"
    folder.mkdir(parents=True)
    (folder / "keyholm.module").write_text("module: keyholm-pkcs11.so\n")
    assert "does not look at" in only(programs.root_is_heard, patient(home)).what


@pytest.mark.parametrize(
    ("libraries", "both"),
    [
        (("", "/opt/keyholm-pkcs11.so", "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so"), True),
        (("", "/opt/keyholm-pkcs11.so", "p11-kit-proxy.so"), True),
        (("", "/opt/keyholm-pkcs11.so"), False),
        (("", "/usr/lib/p11-kit-proxy.so"), False),
        (("", "/opt/keyholm-pkcs11.so", "/usr/lib/p11-kit-client.so"), False),
    ],
)
def test_a_browser_that_has_the_keys_from_p11_kit_too_is_known(
    libraries: tuple[str, ...], both: bool
) -> None:
    content = "".join(f"library={path}\nname=x\n\n" for path in libraries)
    assert programs.lists_both(content) is both


def test_the_databases_of_all_browsers_are_looked_at(tmp_path: Path) -> None:
    chromium_at(tmp_path)
    profile = tmp_path / ".mozilla/firefox/a.default"
    profile.mkdir(parents=True)
    (profile / "pkcs11.txt").touch()
    (profile.parent / "profiles.ini").write_text("[Profile0]\nPath=a.default\n")
    assert nss.databases(wish(tmp_path)) == [
        str(tmp_path / ".pki/nssdb/pkcs11.txt"),
        str(profile / "pkcs11.txt"),
    ]


# --- the module ----------------------------------------------------------------------


def elf(folder: Path, machine: int, width: int = 2, order: int = 1) -> str:
    path = folder / f"{machine}-{width}-{order}.so"
    number = machine.to_bytes(2, "little" if order == 1 else "big")
    path.write_bytes(b"\x7fELF" + bytes([width, order]) + bytes(12) + number + bytes(44))
    return str(path)


def test_a_module_for_another_machine_is_bad(tmp_path: Path) -> None:
    here = elf(tmp_path, 62)
    assert module.built_for(elf(tmp_path, 62), here).level == GOOD
    for other in (elf(tmp_path, 183), elf(tmp_path, 62, width=1), elf(tmp_path, 243)):
        found = module.built_for(other, here)
        assert found.level == BAD
        assert found.status
    assert "AArch64 of 64 bits" in module.built_for(elf(tmp_path, 183), here).what


def test_the_machine_is_read_in_the_order_of_its_bytes(tmp_path: Path) -> None:
    assert module.machine_of(elf(tmp_path, 21, order=2)) == "PPC64 of 64 bits"
    assert module.machine_of(elf(tmp_path, 9999)) == "machine 9999 of 64 bits"


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" * 10])
def test_what_is_no_module_is_bad(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "module.so"
    path.write_bytes(content)
    assert module.built_for(str(path), sys.executable).level == BAD
    assert module.built_for(str(tmp_path / "gone"), sys.executable).level == BAD


def test_the_module_that_is_here_is_for_this_machine(home: Path) -> None:
    found = only(module.module_is_good, patient(home))
    assert found.level == (GOOD if module_file() else WARNING)


def test_an_agent_that_would_refuse_the_module_is_found(home: Path, tmp_path: Path) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    if not module_file():
        pytest.skip("the native module (keyholm-pkcs11.so) is not built here")
    path = tmp_path / "agent"

    def findings(*words: str) -> list[Finding]:
        path.unlink(missing_ok=True)
        command = ["ssh-agent", "-D", "-a", str(path), *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as agent:
            assert agent.stdout
            agent.stdout.readline()
            examined = patient(home)
            environment = {**examined.environment, "SSH_AUTH_SOCK": str(path)}
            try:
                return list(module.other_agents_take_it(examined._replace(environment=environment)))
            finally:
                agent.terminate()

    real = os.path.realpath(module_file())
    assert findings("-P", real) == []
    assert findings(f"-P{real}") == []
    (found,) = findings("-P", "/nowhere/*")
    assert "/nowhere/*" in found.why
    assert real in found.remedy


# --- the door ------------------------------------------------------------------------


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pkcs11"))
        listener.listen()
        yield listener


def at(listener: socket.socket, home: Path) -> Any:
    doors = [{"name": "pkcs11", "path": listener.getsockname(), "connections": 0}]
    return patient(home, status=with_status(doors=doors))


def test_a_door_that_answers_is_good(home: Path, door: socket.socket) -> None:
    def answer() -> None:
        connection, _ = door.accept()
        with connection:
            connection.sendall(connection.recv(1))

    serving = threading.Thread(target=answer)
    serving.start()
    found = only(module.door_answers, at(door, home))
    serving.join()
    assert found.level == GOOD


def test_a_door_that_hangs_up_or_is_not_there_is_bad(home: Path, door: socket.socket) -> None:
    def hang_up() -> None:
        door.accept()[0].close()

    serving = threading.Thread(target=hang_up)
    serving.start()
    assert only(module.door_answers, at(door, home)).level == BAD
    serving.join()
    examined = at(door, home)
    os.unlink(door.getsockname())
    assert only(module.door_answers, examined).level == BAD


def test_of_a_daemon_without_that_door_nothing_is_said(home: Path) -> None:
    assert list(module.door_answers(patient(home, status=with_status(doors=[])))) == []
    assert list(module.door_answers(patient(home, status=None))) == []


def test_what_is_usual_follows_the_environment(home: Path) -> None:
    examined = patient(home)
    found = usual_wish(examined.environment, examined.places, "/k.so")
    assert found.folder == str(home)
    assert found.agent == str(home / "run/ssh")
    assert os.path.basename(found.command) == "keyholm"
