"""OpenSSH loads our PKCS#11 module, and the keys behind it are keyholm's."""

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.conftest import Home

from native import build

pytestmark = pytest.mark.interop
USER = getpass.getuser()
# The OpenSSH of Debian 12 knows no Ed25519 keys in modules.
KINDS = ("ecdsa-p256", "ecdsa-p384", "rsa-2048")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        return str(build.build(tmp_path_factory.mktemp("module") / build.file_here()))
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


def public(home: Home, name: str) -> str:
    return home.keyholm("export", name)


def log_in(home: Home, module: str, *keys: str, fails: bool = False, batch: str = "yes") -> str:
    """Without BatchMode, ssh logs in to a token that shows it no key, and looks once more."""
    program, *options = home.sshd(*keys)
    command = [program, f"-oBatchMode={batch}", *options]
    command += [
        "-oIdentityAgent=none",
        "-oIdentityFile=none",
        "-I",
        module,
        f"{USER}@h1",
        "echo in",
    ]
    return home.run(*command, fails=fails)


@pytest.mark.parametrize("kind", KINDS)
def test_ssh_logs_in_with_a_key_of_the_module(daemon: Home, module: str, kind: str) -> None:
    daemon.keyholm("new", "k", "--type", kind)
    assert log_in(daemon, module, public(daemon, "k")).splitlines()[-1] == "in"


def test_ssh_keygen_lists_the_keys_of_the_module(daemon: Home, module: str) -> None:
    for kind in KINDS:
        daemon.keyholm("new", kind, "--type", kind)
    listed = daemon.run("ssh-keygen", "-D", module)
    for kind in KINDS:
        assert " ".join(public(daemon, kind).split()[:2]) in listed


def test_ssh_tells_that_the_daemon_is_not_running(home: Home, module: str) -> None:
    said = log_in(home, module, "", fails=True)
    assert f"keyholm: the daemon is not running (no socket at {home.folder}/kh/run/pkcs11)" in said
    assert "Start it with `keyholm serve`." in said


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_ssh_tells_that_there_is_no_key(daemon: Home, module: str, batch: str) -> None:
    said = log_in(daemon, module, "", fails=True, batch=batch)
    assert "keyholm: this program was shown no key. `keyholm list` lists" in said


def test_ssh_tells_why_a_key_that_signs_for_git_alone_did_not_log_in(
    daemon: Home, module: str
) -> None:
    daemon.keyholm("new", "k", "--type", "ecdsa-p256")
    (daemon.folder / "rules").write_text('namespaces = ["git"]\n')
    daemon.keyholm("policy", "set", "k", str(daemon.folder / "rules"))
    said = log_in(daemon, module, public(daemon, "k"), fails=True)
    assert "keyholm: The key signs only what can be read" in said


@pytest.fixture
def guarded(home: Home) -> Iterator[Home]:
    """A daemon with a passphrase, unlocked and without a key, and nobody to ask for it."""
    passphrase = home.folder / "passphrase"
    passphrase.write_text("correct horse\n")
    home.keyholm("init", "--passphrase-file", str(passphrase))
    path = home.folder / "kh/run/pkcs11"
    with home.started([sys.executable, "-m", "keyholm.cli.main", "serve"], path):
        home.keyholm("unlock", "--passphrase-file", str(passphrase))
        yield home


NO_KEY = "keyholm: main shows this program no key, with a login or without. `keyholm list` lists"


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_ssh_tells_that_the_token_is_locked(guarded: Home, module: str, batch: str) -> None:
    guarded.keyholm("new", "k", "--type", "ecdsa-p256")
    guarded.keyholm("lock")
    said = log_in(guarded, module, public(guarded, "k"), fails=True, batch=batch)
    assert "keyholm: The token 'main' is locked. `keyholm unlock main`" in said


@pytest.mark.parametrize("state", ["unlocked", "locked"])
def test_ssh_tells_that_there_is_no_key_rather_than_that_nobody_can_be_asked(
    guarded: Home, module: str, state: str
) -> None:
    if state == "locked":
        guarded.keyholm("lock")
    said = log_in(guarded, module, "", fails=True, batch="no")
    assert NO_KEY in said
    assert "human" not in said


def test_ssh_tells_that_there_is_no_key_that_pkcs11_knows(guarded: Home, module: str) -> None:
    guarded.keyholm("new", "k", "--type", "mldsa44-ed25519")
    said = log_in(guarded, module, "", fails=True, batch="no")
    assert NO_KEY in said


def test_openssh_s_own_agent_takes_the_module(daemon: Home, module: str) -> None:
    daemon.keyholm("new", "k", "--type", "ecdsa-p256")
    socket = daemon.folder / "theirs"
    allowed = f"{Path(module).parent}/*"
    daemon.environment["SSH_AUTH_SOCK"] = str(socket)
    with daemon.started(["ssh-agent", "-D", "-a", str(socket), "-P", allowed], socket):
        daemon.environment["SSH_ASKPASS_REQUIRE"] = "force"
        daemon.environment["SSH_ASKPASS"] = "/bin/true"
        daemon.run("ssh-add", "-s", module)
        listed = daemon.run("ssh-add", "-L")
        assert public(daemon, "k").split()[1] in listed
        ssh = daemon.sshd(public(daemon, "k"))
        assert daemon.run(*ssh, f"{USER}@h1", "echo in").splitlines()[-1] == "in"
        daemon.run("ssh-add", "-e", module)
    assert os.path.exists(module)
