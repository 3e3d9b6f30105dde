"""Six vendors' modules in one daemon at once: each closed in by itself, its keys behind every door."""

import base64
import contextlib
import getpass
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.interop.conftest import Home, remove
from tests.rigs import cards, software
from tests.rigs.opencryptoki import opencryptoki
from tests.rigs.rig import EC, RSA, Rig
from tests.rigs.tpm import tpm2

from keyholm.cli.module_file import module_file

pytestmark = pytest.mark.interop

NAMES = ("softhsm2", "nss", "tpm2", "opencryptoki", "opensc", "ykcs11")
# openCryptoki 3.8 does no elliptic curves.
KINDS = [(name, kind) for name in NAMES for kind in (EC, RSA) if (name, kind) != (NAMES[3], EC)]
SERVICE = "keyholm.stores.modules.host"
PIN = "123456"
MESSAGE = b"what is signed\n"
# RFC 8017, 9.2: what stands before a SHA-256 hash.
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Six:
    home: Home
    rigs: dict[str, Rig]
    daemon: int
    """The pid of the keeper."""

    def keys(self) -> list[dict[str, Any]]:
        listed = json.loads(self.home.keyholm("list", "--json"))["keys"]
        return [key for key in listed if key["store"] == "modules"]

    def key(self, name: str, kind: str) -> dict[str, Any]:
        """The one that its rig names by its CKA_ID."""
        wanted = self.rigs[name].keys[kind]
        for key in self.keys():
            if key["token"].startswith(f"{name}-") and of_uri(key["uri"], "id").hex() == wanted:
                return key
        raise AssertionError(f"{name} shows no {kind} key {wanted}: {self.keys()}")

    def signatures(self) -> int:
        """How many the trail knows of."""
        lines = self.home.keyholm("log", "--json").splitlines()
        return sum(json.loads(line).get("op") == "sign" for line in lines)


def of_uri(uri: str, name: str) -> bytes:
    """An attribute of a PKCS#11 URI (RFC 7512)."""
    parts = dict(part.split("=", 1) for part in uri.removeprefix("pkcs11:").split(";"))
    return unquote_to_bytes(parts[name])


def public(key: dict[str, Any]) -> Any:
    return serialization.load_ssh_public_key(key["public"].encode())


@pytest.fixture(scope="module")
def six() -> Iterator[Six]:
    folder = Path(tempfile.mkdtemp(prefix="kh", dir="/tmp"))
    home = Home(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(remove, folder)
        room = stack.enter_context(opencryptoki(folder / "ock"))
        found = [
            software.softhsm(folder / "soft"),
            software.nss(folder / "nss"),
            stack.enter_context(tpm2(folder / "tpm")),
            room.rig,
            stack.enter_context(cards.opensc(folder / "opensc")).rig,
            stack.enter_context(cards.ykcs11(folder / "ykcs11")).rig,
        ]
        askpass = folder / "askpass"
        askpass.write_text(f"#!/bin/sh\necho {PIN}\n")
        askpass.chmod(0o700)
        home.environment |= {
            "SSH_ASKPASS": str(askpass),
            "SSH_ASKPASS_REQUIRE": "force",
            "SSH_AUTH_SOCK": f"{folder}/kh/run/ssh",
        }
        home.keyholm("init", "--no-passphrase")
        keyholm = [*room.words, sys.executable, "-m", "keyholm.cli.main"]
        for rig in found:
            # What each needs is found by `add`, from its configuration: nothing is told here.
            home.run(*keyholm, "module", "add", rig.path, *rig.options())
        serving = home.started([*keyholm, "serve"], folder / "kh/run/ssh")
        process = stack.enter_context(serving)
        yield Six(home, {rig.name: rig for rig in found}, process.pid)


def verify(key: Any, signature: bytes, message: bytes) -> None:
    """An ECDSA signature as r || s, or one of PKCS#1 v1.5; both over SHA-256."""
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        return
    half = len(signature) // 2
    r, s = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_key_is_listed(six: Six, name: str, kind: str) -> None:
    key = six.key(name, kind)
    assert key["algorithm"] == {EC: "ecdsa-p256", RSA: "rsa-2048"}[kind]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_ssh_keygen_signs_with_it_through_the_agent(six: Six, name: str, kind: str) -> None:
    key, home = six.key(name, kind), six.home
    (home.folder / "key.pub").write_text(key["public"] + "\n")
    (home.folder / "signers").write_text(f"me {key['public']}\n")
    (home.folder / "message").write_bytes(MESSAGE)
    (home.folder / "message.sig").unlink(missing_ok=True)
    before = six.signatures()
    home.run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", "key.pub", "message")
    check = "ssh-keygen -Y verify -f signers -I me -n file -s message.sig < message"
    assert 'Good "file" signature' in home.run("sh", "-c", check)
    assert six.signatures() == before + 1


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_ssh_logs_in_with_it_through_the_agent(six: Six, name: str, kind: str) -> None:
    public_key = six.key(name, kind)["public"]
    (six.home.folder / "login.pub").write_text(public_key + "\n")
    ssh = six.home.sshd(public_key + "\n")
    only = ["-oIdentitiesOnly=yes", "-i", f"{six.home.folder}/login.pub"]
    said = six.home.run(*ssh, *only, f"{getpass.getuser()}@h1", "echo in")
    assert said.splitlines()[-1] == "in"


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_pkcs11_tool_signs_with_it_through_our_module(six: Six, name: str, kind: str) -> None:
    ours = module_file()
    if not ours:
        pytest.skip("the native module is not built: it needs a C compiler, then `dev.py setup`")
    key, folder = six.key(name, kind), six.home.folder
    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    hashed = digest.finalize()
    (folder / "hashed").write_bytes(hashed if kind == EC else DIGEST_INFO + hashed)
    which = [
        "--token-label",
        of_uri(key["uri"], "token").decode(),
        "--id",
        six.rigs[name].keys[kind],
    ]
    how = ["-m", {EC: "ECDSA", RSA: "RSA-PKCS"}[kind], "-i", "hashed", "-o", "signature"]
    before = six.signatures()
    six.home.run("pkcs11-tool", "--module", ours, *which, "--sign", *how)
    verify(public(key), (folder / "signature").read_bytes(), MESSAGE)
    assert six.signatures() == before + 1


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_the_command_line_signs_with_it(six: Six, name: str, kind: str) -> None:
    key = six.key(name, kind)
    (six.home.folder / "message").write_bytes(MESSAGE)
    mechanism = {EC: "ecdsa-sha256", RSA: "rsa-pkcs1-sha256"}[kind]
    signed = six.home.keyholm("sign", "--mechanism", mechanism, key["place"], "message")
    verify(public(key), base64.b64decode(signed), MESSAGE)


def processes(six: Six) -> dict[str, list[tuple[int, str]]]:
    """By `ps`: the processes below each, as pid and command line."""
    below: dict[str, list[tuple[int, str]]] = {}
    for line in six.home.run("ps", "-eo", "ppid=,pid=,args=", "--cols", "400").splitlines():
        parent, pid, words = line.split(None, 2)
        below.setdefault(parent, []).append((int(pid), words))
    return below


def workers(six: Six) -> dict[str, int]:
    """Each module's process, as the steward started it."""
    below = processes(six)
    stewards = below[str(six.daemon)]
    started = [each for steward, _ in stewards for each in below.get(str(steward), ())]
    return {words.split(f"{SERVICE} ")[1].split()[0]: pid for pid, words in started}


def innermost(six: Six, pid: int) -> int:
    """The one that the library is in: the last that has a single child or none."""
    below = processes(six)
    while str(pid) in below:
        pid = below[str(pid)][0][0]
    return pid


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_each_module_has_a_process_of_its_own(six: Six) -> None:
    six.keys()
    assert sorted(workers(six)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_process_is_closed_in(six: Six, name: str) -> None:
    six.keys()
    inside = innermost(six, workers(six)[name])
    facts = status(inside)
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert int(facts["CapEff"], 16) == 0
    # openCryptoki's processes share memory, in which they know each other by their pids.
    apart = ["mnt", "net", "uts", *(["ipc", "pid"] if name != "opencryptoki" else [])]
    for kind in apart:
        ours, theirs = (os.readlink(f"/proc/{pid}/ns/{kind}") for pid in (six.daemon, inside))
        assert ours != theirs, kind
    seen = os.listdir(f"/proc/{inside}/root")
    assert not {"home", "boot", "mnt", "work", "srv"} & set(seen)


def test_the_daemon_says_that_each_is_closed_in(six: Six) -> None:
    six.keys()
    listed = six.home.keyholm("module", "list")
    for name in NAMES:
        (line,) = (each for each in listed.splitlines() if each.startswith(f"{name} "))
        assert line.split()[1:4:2] == ["running", "full"]
