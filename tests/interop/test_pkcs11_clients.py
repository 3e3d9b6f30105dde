"""Programs that speak PKCS#11 use keys of keyholm: through our module, and without native code."""

import getpass
import os
import re
import sys
from pathlib import Path

import pytest
from tests.interop.conftest import Home
from tests.programs import program

from keyholm.cli.module_file import module_file

pytestmark = pytest.mark.interop
USER = getpass.getuser()
PIN = "123456"
TOKEN = "pkcs11:token=base"


@pytest.fixture(scope="session")
def module() -> str:
    path = module_file()
    if not path:
        pytest.skip("the native module is not built: it needs a C compiler, then `dev.py setup`")
    return path


@pytest.fixture
def token(daemon: Home) -> Home:
    """A token that wants its PIN from the program, and nothing but that token."""
    for name, pin in (("pin", PIN), ("so", "87654321")):
        path = daemon.folder / name
        path.write_text(pin + "\n")
        path.chmod(0o600)
    files = ("--pin-file", str(daemon.folder / "pin"), "--so-pin-file", str(daemon.folder / "so"))
    daemon.keyholm("token", "new", "base", *files, "--login", "application")
    return daemon


def tool(home: Home, module: str, *words: str, fails: bool = False) -> str:
    login = ("--token-label", "base", "--login", "--pin", PIN)
    return home.run("pkcs11-tool", "--module", module, *login, *words, fails=fails)


@pytest.fixture
def keys(token: Home, module: str) -> Home:
    """An RSA key and one of P-256, both made by pkcs11-tool."""
    tool(token, module, "--keypairgen", "--key-type", "RSA:2048", "--id", "01", "--label", "r")
    tool(token, module, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "02", "--label", "e")
    return token


@pytest.fixture
def asked(keys: Home) -> Home:
    """ssh's programs ask this for the PIN."""
    ask = keys.folder / "ask"
    ask.write_text(f"#!/bin/sh\necho {PIN}\n")
    ask.chmod(0o700)
    keys.environment.update(SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force", DISPLAY=":9")
    return keys


def public_keys(home: Home, module: str) -> list[str]:
    said = home.run("ssh-keygen", "-D", module)
    return [line + "\n" for line in said.splitlines() if re.match("ssh-|ecdsa-", line)]


# --- pkcs11-tool -----------------------------------------------------------------------


def test_pkcs11_tool_signs_and_openssl_verifies(keys: Home, module: str) -> None:
    data = keys.folder / "data"
    data.write_bytes(b"what is signed")
    tool(keys, module, "--read-object", "--type", "pubkey", "--id", "01", "-o", "public.der")
    sign = ("--sign", "--id", "01", "-m", "SHA256-RSA-PKCS", "-i", str(data), "-o", "signature")
    tool(keys, module, *sign)
    verify = ("dgst", "-sha256", "-verify", "public.der", "-signature", "signature", "data")
    assert "Verified OK" in keys.run("openssl", *verify)


def test_the_tests_of_pkcs11_tool_pass(keys: Home, module: str) -> None:
    said = tool(keys, module, "--test")
    assert "No errors" in said
    tool(keys, module, "--session-rw", "--test-ec", "--id", "55", "--key-type", "EC:prime256v1")


def test_a_wrong_pin_is_called_wrong(keys: Home, module: str) -> None:
    words = ("--module", module, "--token-label", "base", "--login", "--pin", "999999", "-O")
    assert "CKR_PIN_INCORRECT" in keys.run("pkcs11-tool", *words, fails=True)


def test_pkcs11_spy_sees_what_a_program_does(keys: Home, module: str) -> None:
    folder = Path(module_of_opensc("pkcs11-spy.so"))
    spied = {"PKCS11SPY": module, "PKCS11SPY_OUTPUT": str(keys.folder / "spied")}
    keys.run("pkcs11-tool", "--module", str(folder), "-L", env=spied)
    assert "C_GetSlotList" in (keys.folder / "spied").read_text()


def module_of_opensc(name: str) -> str:
    found = sorted(Path("/usr").glob(f"lib*/*/pkcs11/{name}")) or sorted(
        Path("/usr").glob(f"lib*/pkcs11/{name}")
    )
    if not found:
        pytest.skip(f"{name} is not installed")
    return str(found[0])


# --- OpenSSH ---------------------------------------------------------------------------


def test_ssh_logs_in_with_a_key_of_the_module(asked: Home, module: str) -> None:
    authorized = public_keys(asked, module)
    assert len(authorized) == 2
    for line in authorized:
        ssh = [word for word in asked.sshd(line) if word != "-oBatchMode=yes"]
        said = asked.run(*ssh, "-I", module, f"{USER}@h1", "echo in")
        assert said.strip().endswith("in")


def test_an_agent_of_openssh_signs_with_them(asked: Home, module: str) -> None:
    path = asked.folder / "agent"
    asked.environment["SSH_AUTH_SOCK"] = str(path)
    agent = [program("ssh-agent"), "-D", "-P", "*", "-a", str(path)]
    with asked.started(agent, path):
        asked.run("ssh-add", "-s", module)
        for line in asked.run("ssh-add", "-L").splitlines():
            (asked.folder / "k.pub").write_text(line + "\n")
            (asked.folder / "allowed").write_text(f"me {line}\n")
            (asked.folder / "message").write_text("what is signed\n")
            signature = asked.folder / "message.sig"
            signature.unlink(missing_ok=True)
            asked.run("ssh-keygen", "-Y", "sign", "-n", "t", "-f", "k.pub", "message")
            verify = f"{program('ssh-keygen')} -Y verify -f allowed -I me -n t -s {signature}"
            asked.run("sh", "-c", f"{verify} < message")
        asked.run("ssh-add", "-e", module)


def test_ssh_keygen_signs_a_certificate(asked: Home, module: str) -> None:
    asked.new_key("u", "-t", "ed25519")
    [ca] = [line for line in public_keys(asked, module) if line.startswith("ecdsa")]
    (asked.folder / "ca.pub").write_text(ca)
    asked.run("ssh-keygen", "-s", "ca.pub", "-D", module, "-I", "id", "-n", "me", "u.pub")
    assert "Signing CA: ECDSA" in asked.run("ssh-keygen", "-L", "-f", "u-cert.pub")


# --- what the terminal shows -----------------------------------------------------------


def test_without_a_daemon_ssh_says_how_to_start_one(home: Home, module: str) -> None:
    said = home.run("ssh", "-F", "none", "-I", module, "-o", "ProxyCommand=false", "x", fails=True)
    assert "keyholm: " in said
    assert "keyholm serve" in said


def test_with_no_key_ssh_says_where_to_look(daemon: Home, module: str) -> None:
    ssh = daemon.sshd()
    said = daemon.run(*ssh, "-I", module, f"{USER}@h1", "true", fails=True)
    assert "keyholm: " in said
    assert "keyholm list" in said


def test_of_a_locked_token_ssh_says_how_to_unlock_it(home: Home, module: str) -> None:
    secret = home.folder / "passphrase"
    secret.write_text("a long passphrase\n")
    secret.chmod(0o600)
    home.keyholm("init", "--passphrase-file", str(secret))
    path = home.folder / "kh/run/ssh"
    with home.started([sys.executable, "-m", "keyholm.cli.main", "serve"], path):
        home.keyholm("unlock", "--passphrase-file", str(secret))
        home.keyholm("new", "k", "--type", "ecdsa-p256")
        authorized = public_keys(home, module)
        home.keyholm("lock")
        ssh = home.sshd(*authorized)
        said = home.run(*ssh, "-I", module, f"{USER}@h1", "true", fails=True)
        assert "keyholm: " in said
        assert "keyholm unlock" in said


# --- GnuTLS, OpenSSL, p11-kit ----------------------------------------------------------


def registered(home: Home, line: str) -> Home:
    """p11-kit knows nothing but what `line` says."""
    if os.geteuid() == 0:
        pytest.skip("contract only: p11-kit ignores the configuration of root")
    folder = home.folder / ".config/pkcs11"
    (folder / "modules").mkdir(parents=True)
    (folder / "pkcs11.conf").write_text("user-config: only\n")
    (folder / "modules/keyholm.module").write_text(f"{line}\ncritical: no\n")
    home.environment["GNUTLS_PIN"] = PIN
    return home


def remote(home: Home) -> str:
    """The line of a module file that needs no native code of ours."""
    start = home.folder / "p11"
    start.write_text(f"#!/bin/sh\nexec {sys.executable} -m keyholm.cli.main p11 --stdio\n")
    start.chmod(0o700)
    return f"remote: |{start}"


@pytest.mark.parametrize("how", ["module", "remote"])
def test_p11tool_signs(keys: Home, module: str, how: str) -> None:
    home = registered(keys, remote(keys) if how == "remote" else f"module: {module}")
    assert "base" in home.run("p11tool", "--list-tokens")
    for label in "re":
        home.run("p11tool", "--login", "--test-sign", f"{TOKEN};object={label};type=private")


def test_the_proxy_of_p11_kit_serves_ssh_keygen(keys: Home) -> None:
    home = registered(keys, remote(keys))
    proxies = sorted(Path("/usr").glob("lib*/*/p11-kit-proxy.so"))
    if not proxies:
        pytest.skip("p11-kit-proxy.so is not installed")
    assert len(public_keys(home, str(proxies[0]))) == 2
    assert "base" in home.run("pkcs11-tool", "--module", str(proxies[0]), "-L")


def test_the_engine_of_openssl_signs(keys: Home, module: str) -> None:
    said = keys.run("openssl", "version", "-e")
    folder = Path(said.split('"')[1])
    if not (folder / "pkcs11.so").exists():
        pytest.skip("OpenSSL's engine of libp11 is not installed")
    (keys.folder / "openssl.cnf").write_text(
        "openssl_conf = a\n[a]\nengines = b\n[b]\npkcs11 = c\n[c]\nengine_id = pkcs11\n"
        f"MODULE_PATH = {module}\nPIN = {PIN}\ninit = 1\n"
    )
    (keys.folder / "data").write_bytes(b"what is signed")
    tool(keys, module, "--read-object", "--type", "pubkey", "--id", "02", "-o", "public.der")
    engine = ("-engine", "pkcs11", "-keyform", "engine", "-sha256")
    key = f"{TOKEN};object=e;type=private"
    config = {"OPENSSL_CONF": str(keys.folder / "openssl.cnf")}
    keys.run("openssl", "dgst", *engine, "-sign", key, "-out", "signature", "data", env=config)
    verify = ("dgst", "-sha256", "-verify", "public.der", "-signature", "signature", "data")
    assert "Verified OK" in keys.run("openssl", *verify)


def test_modutil_lists_every_slot(keys: Home, module: str) -> None:
    db = f"sql:{keys.folder}"
    keys.run("certutil", "-N", "-d", db, "--empty-password")
    keys.run("modutil", "-force", "-dbdir", db, "-add", "keyholm", "-libfile", module)
    assert "Token Name: base" in keys.run("modutil", "-dbdir", db, "-list", "keyholm")
