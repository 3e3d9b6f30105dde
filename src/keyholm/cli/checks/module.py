"""The native module and the socket that it speaks to."""

import os
import socket
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from keyholm.cli.checks import sockets
from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Finding, Patient
from keyholm.cli.exit_status import DATA, UNAVAILABLE
from keyholm.cli.module_file import module_file

ALLOWED: Final = "/usr/lib*/*,/usr/local/lib*/*"  # -P of ssh-agent, if it was not given
ELF: Final = b"\x7fELF"
MACHINES: Final = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 21: "PPC64"}
REINSTALL: Final = "python3 dev.py setup in a clone; else install keyholm from a wheel"
DOOR: Final = "pkcs11"


def module_is_good(patient: Patient) -> Iterator[Finding]:
    path = module_file()
    if not path:
        what = "This keyholm has no native module (keyholm-pkcs11.so)."
        why = "Only programs of p11-kit reach its keys, by `keyholm enable p11-kit --no-native`."
        yield Finding(WARNING, "module", what, why, REINSTALL)
        return
    yield built_for(path, sys.executable)


def built_for(path: str, program: str) -> Finding:
    """A module for another machine than this Python's own; their ELF headers say it."""
    ours, theirs = machine_of(path), machine_of(program)
    if ours == theirs:
        return Finding(GOOD, "module", f"{path} is there.")
    what = f"{path} is for {ours}, and this machine is {theirs}."
    return Finding(BAD, "module", what, "No program here can load it.", REINSTALL, DATA)


def machine_of(path: str) -> str:
    """ELF, System V ABI, section 4: class at 4, order of bytes at 5, machine at 18."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return "nothing that can be read"
    if len(head) < 20 or head[:4] != ELF:
        return "nothing that is ELF"
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return f"{MACHINES.get(machine, f'machine {machine}')} of {32 * head[4]} bits"


def other_agents_take_it(patient: Patient) -> Iterator[Finding]:
    """`ssh-add -s` into OpenSSH's agent, which is told by nothing but its own -d."""
    from keyholm.wire.ssh.patterns import match_pattern_list

    path, named = module_file(), patient.environment.get(sockets.VARIABLE, "")
    pid = sockets.listener(named) if path and named else None
    if pid is None or not sockets.owner_of(named, pid)[0].startswith("OpenSSH's agent"):
        return
    real, allowed = os.path.realpath(path), _allowed(pid)
    if not match_pattern_list(real, allowed):
        what = f"OpenSSH's agent does not load {real}."
        why = f"It takes modules from {allowed} only, and says `agent refused operation`."
        remedy = f"ssh-agent -P '{real}', or keyholm enable ssh"
        yield Finding(WARNING, "module", what, why, remedy)


def _allowed(pid: int) -> str:
    """What the agent was started with, as far as we may look."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(1 << 16).decode(errors="replace").split("\0")
    except OSError:
        return ALLOWED
    for word, following in pairwise(words):
        if word == "-P":
            return following
        if word.startswith("-P"):
            return word[2:]
    return ALLOWED


def door_answers(patient: Patient) -> Iterator[Finding]:
    """As p11-kit's client begins: a byte for the version there, and one back."""
    doors = patient.status.get("doors", ()) if patient.status else ()
    path = next((door["path"] for door in doors if door["name"] == DOOR), "")
    if not path:
        return
    if _answers(path):
        yield Finding(GOOD, "pkcs11", f"Programs are answered at {path}.")
    else:
        what = f"The PKCS#11 door at {path} does not answer."
        why = "Every program that loads the module finds no tokens."
        yield Finding(BAD, "pkcs11", what, why, "keyholm serve", UNAVAILABLE)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as program:
        program.settimeout(sockets.PATIENCE)
        try:
            program.connect(path)
            program.sendall(b"\0")
            return bool(program.recv(1))
        except OSError:
            return False
