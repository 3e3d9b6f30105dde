"""ssh logs in to a real sshd with keys that live in keyholm, and git signs with them."""

import getpass
import json
from pathlib import Path

import pytest
from tests.interop.conftest import Home

pytestmark = pytest.mark.interop
USER = getpass.getuser()


def public_files(home: Home) -> dict[str, Path]:
    """The agent's public keys as files, by their comments."""
    found = {}
    for line in home.run("ssh-add", "-L").splitlines():
        name = line.split()[-1]
        path = home.folder / f"{name}.pub"
        if "-cert-" not in line:
            path.write_text(line + "\n")
            found[name] = path
    return found


def refused(home: Home) -> dict[str, object]:
    """The newest refusal, as `keyholm why` tells it."""
    newest: dict[str, object] = json.loads(home.keyholm("why", "--json"))["refusals"][-1]
    return newest


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"])
def test_every_kind_of_key_logs_in(daemon: Home, kind: str) -> None:
    daemon.keyholm("new", "k", "--type", kind)
    public = public_files(daemon)["k"]
    ssh = daemon.sshd(public.read_text())
    said = daemon.run(*ssh, "-oIdentitiesOnly=yes", "-i", str(public), f"{USER}@h1", "echo in")
    assert said.strip().endswith("in")
    record = json.loads(daemon.keyholm("log", "--json").splitlines()[-1])
    assert record["purpose"] == "ssh-userauth"
    assert record["user"] == USER


def test_git_signs_and_verifies_a_commit(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    words = public_files(daemon)["k"].read_text().split()
    (daemon.folder / "allowed").write_text(f"u {words[0]} {words[1]}\n")
    settings = {
        "user.name": "a",
        "user.email": "u",
        "gpg.format": "ssh",
        "user.signingkey": f"key::{words[0]} {words[1]}",
        "gpg.ssh.allowedSignersFile": str(daemon.folder / "allowed"),
    }
    daemon.run("git", "init", "-q", "g")
    for name, value in settings.items():
        daemon.run("git", "-C", "g", "config", name, value)
    daemon.run("git", "-C", "g", "commit", "-q", "-S", "--allow-empty", "-m", "x")
    assert "Good" in daemon.run("git", "-C", "g", "verify-commit", "HEAD")


def test_a_key_for_one_host_logs_in_there_and_nowhere_else(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    public = public_files(daemon)["k"]
    ssh = daemon.sshd(public.read_text())
    login = [*ssh, "-oIdentitiesOnly=yes", "-i", str(public), f"{USER}@h1"]
    known = ["--known-hosts", str(daemon.folder / "known_hosts")]
    daemon.keyholm("policy", "set", "k", "--destination", f"{USER}@h1", *known)
    daemon.run(*login, "true")
    other = daemon.new_key("other", "-t", "ed25519").with_suffix(".pub").read_text().split()
    (daemon.folder / "elsewhere").write_text(f"h2 {other[0]} {other[1]}\n")
    elsewhere = ["--known-hosts", str(daemon.folder / "elsewhere")]
    daemon.keyholm("policy", "set", "k", "--destination", "h2", *elsewhere)
    assert "Permission denied" in daemon.run(*login, "true", fails=True)


def test_a_key_for_git_signs_nothing_else(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    (daemon.folder / "rules").write_text('namespaces = ["git"]\n')
    daemon.keyholm("policy", "set", "k", str(daemon.folder / "rules"))
    public = public_files(daemon)["k"]
    (daemon.folder / "m").write_text("hello")

    def sign(namespace: str, *, fails: bool = False) -> None:
        options = ["-n", namespace, "-f", str(public)]
        daemon.run("ssh-keygen", "-q", "-Y", "sign", *options, "m", fails=fails)

    sign("git")
    sign("file", fails=True)
    assert refused(daemon)["error"] == "PolicyForbids"
    ssh = daemon.sshd(public.read_text())
    login = [*ssh, "-oIdentitiesOnly=yes", "-i", str(public), f"{USER}@h1", "true"]
    daemon.run(*login, fails=True)
    assert "login" in str(refused(daemon)["what"])


def test_a_certificate_beside_a_key_logs_in_and_is_renewed(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    public = public_files(daemon)["k"]
    authority = daemon.new_key("ca", "-t", "ed25519")
    ssh = daemon.sshd()
    with daemon.sshd_config.open("a") as config:
        config.write(f"TrustedUserCAKeys {authority}.pub\n")

    def certify(principal: str) -> None:
        daemon.run(
            "ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", principal, str(public)
        )
        daemon.keyholm("certificate", "add", "k", str(daemon.folder / "k-cert.pub"))

    login = [*ssh, f"{USER}@h1", "true"]
    daemon.run(*login, fails=True)
    certify("somebody-else")
    daemon.run(*login, fails=True)
    certify(USER)
    daemon.run(*login)
    assert "cert-v01" in daemon.run("ssh-add", "-L")


def test_lasting_keys_are_withdrawn_not_removed(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    daemon.run("ssh-add", "-D")
    assert "no identities" in daemon.run("ssh-add", "-l", fails=True)
    assert "k" in daemon.keyholm("list")
    daemon.keyholm("agent", "restore")
    assert "ED25519" in daemon.run("ssh-add", "-l")
    # A restart brings back what was withdrawn, without anybody's doing.


def test_a_key_of_ssh_add_obeys_the_policy_of_its_twin(daemon: Home) -> None:
    key = daemon.new_key("twin", "-t", "ed25519")
    daemon.keyholm("import", str(key))
    (daemon.folder / "rules").write_text('namespaces = ["git"]\n')
    daemon.keyholm("policy", "set", "twin", str(daemon.folder / "rules"))
    daemon.run("ssh-add", "-q", str(key))
    daemon.run("ssh-add", "-T", f"{key}.pub", fails=True)


def test_the_trail_shows_and_verifies_what_was_done(daemon: Home) -> None:
    daemon.keyholm("new", "k")
    public = public_files(daemon)["k"]
    for _ in range(3):
        daemon.run("ssh-add", "-T", str(public))
    daemon.keyholm("log", "verify")
    records = [json.loads(line) for line in daemon.keyholm("log", "--json").splitlines()]
    signed = [record for record in records if record.get("op") == "sign"]
    assert len(signed) == 3
    assert {record["caller"]["exe"].rsplit("/", 1)[-1] for record in signed} == {"ssh-add"}
