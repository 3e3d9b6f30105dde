"""Programs with our module, over a real daemon: they see what they should, by the same names."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.conftest import Running, until
from tests.interop.conftest import Home
from tests.programs import program

from keyholm.cli.module_file import module_file
from keyholm.cli.registration.snippets import ENGINES

pytestmark = pytest.mark.interop
Start = Callable[..., Running]
KEYHOLM = f"{shlex.quote(sys.executable)} -m keyholm.cli.main"
# What root writes for all users goes into a layer above /etc, in a namespace of its own.
OF_ROOT = """
mount -t tmpfs tmpfs {folder}/layer && mkdir {folder}/layer/up {folder}/layer/work &&
mount -t overlay overlay -o lowerdir=/etc,upperdir={folder}/layer/up,workdir={folder}/layer/work /etc ||
exit 99
"""


@pytest.fixture
def module() -> str:
    path = module_file()
    if not path:
        pytest.skip("the native module (keyholm-pkcs11.so) is not built here")
    return path


@pytest.fixture
def running(home: Home, serve: Start) -> Running:
    """A daemon, and a home with an Ed25519 and a P-256 key."""
    home.keyholm("init", "--no-passphrase")
    daemon = serve()
    home.keyholm("new", "modern")
    home.keyholm("new", "classic", "--type", "ecdsa-p256")
    return daemon


def uri(home: Home, key: str) -> str:
    shown = home.keyholm("show", key).splitlines()
    return next(line.split()[1] for line in shown if line.startswith("uri "))


def test_what_show_prints_is_what_p11tool_prints(home: Home, running: Running, module: str) -> None:
    program("p11tool")
    listed = home.run("p11tool", "--provider", module, "--list-all")
    for key in ("modern", "classic"):
        assert f"URL: {uri(home, key)}\n" in listed
    for line in listed.splitlines():
        told = line.strip().removeprefix("URL: ")
        if told.startswith("pkcs11:") and ";type=p" in told:
            assert home.keyholm("export", told).split()[2] in ("modern", "classic")


def test_openssls_engine_signs_beside_a_key_that_it_cannot_bear(
    home: Home, running: Running, module: str
) -> None:
    """libp11 0.4.12 crashes, or finds no key at all, where it is shown an Ed25519 key."""
    program("openssl")
    if not any(any(Path("/").glob(pattern[1:])) for pattern in ENGINES):
        pytest.skip("libengine-pkcs11-openssl is not installed")
    home.keyholm("enable", "openssl", "--yes")
    environment = {"OPENSSL_CONF": str(home.folder / "kh/openssl.cnf")}
    engine = ("-engine", "pkcs11")
    (home.folder / "digest").write_bytes(bytes(32))
    key = uri(home, "classic")
    home.run(
        "openssl", "pkeyutl", "-sign", *engine, "-keyform", "engine", "-inkey", key,
        "-in", "digest", "-out", "signature", env=environment,
    )  # fmt: skip
    public = home.run("openssl", "pkey", *engine, "-inform", "engine", "-in", key, "-pubout",
                      env=environment)  # fmt: skip
    (home.folder / "public.pem").write_text(public[public.index("-----BEGIN") :])
    home.run(
        "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-in", "digest",
        "-sigfile", "signature",
    )  # fmt: skip


def test_a_rule_hides_a_key_from_a_program_that_is_named(
    home: Home, running: Running, module: str
) -> None:
    program("pkcs11-tool")

    def listed() -> str:
        return home.run("pkcs11-tool", "--module", module, "--list-objects")

    assert "modern" in listed()
    path = home.folder / "kh/config.toml"
    path.write_text('[[visible]]\nexe = "pkcs11-tool"\nhide = {names = ["mod*"]}\n')
    path.chmod(0o600)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: "modern" not in listed())
    assert "classic" in listed()


def test_nss_lists_the_keys_of_a_database_that_was_told(
    home: Home, running: Running, module: str
) -> None:
    program("certutil")
    (home.folder / "db").mkdir()
    home.run("certutil", "-N", "--empty-password", "-d", "sql:db")
    keys = ("certutil", "-K", "-h", "all", "-d", "sql:db")
    home.keyholm("enable", "nss", "db", "--yes")
    assert " classic\n" in home.run(*keys)
    home.keyholm("disable", "nss", "db", "--yes")
    assert "classic" not in home.run(*keys, fails=True)


def test_java_opens_the_token(home: Home, running: Running, module: str) -> None:
    program("keytool")
    home.keyholm("enable", "java", "--yes")
    told = home.run(
        "keytool", "-list", "-keystore", "NONE", "-storetype", "PKCS11", "-storepass", "none",
        "-providerClass", "sun.security.pkcs11.SunPKCS11", "-providerArg", "kh/java.cfg",
    )  # fmt: skip
    assert "Keystore provider: SunPKCS11-keyholm" in told


def test_git_signs_once_it_is_told(home: Home, running: Running) -> None:
    program("git")
    home.keyholm("enable", "git", "--key", uri(home, "modern"), "--yes")
    agent = {"SSH_AUTH_SOCK": running.socket}
    home.run("git", "init", "-q", "work")
    words = ("git", "-C", "work", "-c", "user.name=me", "-c", "user.email=me@example.com")
    home.run(*words, "commit", "-q", "-S", "--allow-empty", "-m", "signed", env=agent)
    assert "BEGIN SSH SIGNATURE" in home.run(*words, "cat-file", "-p", "HEAD")
    home.keyholm("disable", "git", "--yes")
    assert not (home.folder / ".gitconfig").exists()


def told_by_p11_kit(home: Home, way: str) -> tuple[list[str], list[str]]:
    """The URIs that p11tool prints once p11-kit was told, and after it was told no more."""
    program("p11tool")
    listed = (
        "p11tool --list-all 'pkcs11:manufacturer=keyholm;type=private' 2>&1 | grep -o pkcs11:.*"
    )
    script = f"""
{KEYHOLM} enable p11-kit --yes {way} > /dev/null || exit 1
{listed}
echo ---
{KEYHOLM} disable p11-kit --yes > /dev/null || exit 1
{listed}
exit 0
"""
    words = ["sh", "-c", script]
    if os.geteuid() == 0:
        (home.folder / "layer").mkdir()
        words = ["unshare", "-m", "sh", "-c", OF_ROOT.format(folder=home.folder) + script]
    done = subprocess.run(
        words, cwd=home.folder, env=home.environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 99 or done.stderr.startswith("unshare"):
        pytest.skip(f"no layer can be laid over /etc here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("---\n")
    return before.splitlines(), after.splitlines()


@pytest.mark.parametrize("way", ["", "--no-native"])
def test_p11_kit_shows_the_keys_once_it_is_told(
    home: Home, running: Running, module: str, way: str
) -> None:
    shown, later = told_by_p11_kit(home, way)
    assert sorted(shown) == sorted(uri(home, key) for key in ("modern", "classic"))
    assert later == []


@pytest.mark.parametrize("way", ["", "--no-native"])
def test_a_program_is_known_by_its_name_also_behind_the_relay(
    home: Home, running: Running, module: str, way: str
) -> None:
    path = home.folder / "kh/config.toml"
    path.write_text('[[visible]]\nexe = "p11tool"\nhide = {names = ["mod*"]}\n')
    path.chmod(0o600)
    running.process.send_signal(signal.SIGHUP)
    assert running.process.stdout
    assert running.process.stdout.readline() == "keyholm: read the configuration again\n"
    shown, _ = told_by_p11_kit(home, way)
    assert shown == [uri(home, "classic")]
