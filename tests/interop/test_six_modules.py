"""Six vendors' modules in one daemon at once: each closed in by itself, its keys behind every door."""

import base64
import contextlib
import getpass
import json
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


def test_each_module_has_a_process_of_its_own(six: Six) -> None:
    listed = six.home.run("ps", "-eo", "ppid=,pid=,args=", "--cols", "400")
    ours = [line.split(None, 2) for line in listed.splitlines()]
    steward = {pid for parent, pid, _ in ours if parent == str(six.daemon)}
    workers = [words.split() for parent, _, words in ours if parent in steward]
    assert sorted(words[words.index("keyholm.stores.modules.host") + 1] for words in workers) == (
        sorted(NAMES)
    )
