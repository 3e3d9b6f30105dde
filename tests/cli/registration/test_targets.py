"""What is written for each program is what that program reads."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.cli.registration.house import (
    SOFTHSM,
    an_ordinary_user,
    disable,
    enable,
    files_in,
    some_module,
    wish,
)
from tests.programs import program

from keyholm.cli.registration import nss, p11_kit, snippets
from keyholm.cli.registration.ledger import changes_of
from keyholm.cli.registration.nss import CHROMIUM, FIREFOX, NSS, THUNDERBIRD
from keyholm.cli.registration.p11_kit import P11_KIT
from keyholm.cli.registration.snippets import CURL, JAVA, OPENSSL
from keyholm.cli.registration.ssh import GIT, SSH
from keyholm.cli.registration.target import Target
from keyholm.core.errors import BadRequest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA laptop"
interop = pytest.mark.interop


def ran(
    *words: str, home: Path, ordinary: bool = False, environment: Mapping[str, str] | None = None
) -> str:
    who = an_ordinary_user() if ordinary else {}
    done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
        words,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        **who,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def softhsm(folder: Path) -> dict[str, str]:
    """What SoftHSM wants of the environment, for an empty token in `folder`."""
    program("softhsm2-util")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    environment = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    words = ["--init-token", "--free", "--label", "t", "--pin", "1234", "--so-pin", "1234"]
    ran("softhsm2-util", *words, home=folder, environment=environment)
    return environment


def copied(folder: Path) -> str:
    """The module once more: one file is loaded once only."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(shutil.copy(os.path.realpath(some_module()), folder / "module.so"))


# --- ssh and git ---------------------------------------------------------------------


@interop
@pytest.mark.parametrize(("provider", "said"), [(False, "identityagent"), (True, "pkcs11provider")])
def test_ssh_reads_it_and_what_the_user_said_wins(
    tmp_path: Path, provider: bool, said: str
) -> None:
    home = tmp_path / "a home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/config").write_text(f"Host mine\n  {said} none\n")
    asked = wish(home, module=str(home / "100%/k.so"))._replace(
        provider=provider, agent=str(home / "100%/ssh")
    )
    enable(SSH, asked)

    def told(host: str) -> str:
        command = [program("ssh"), "-G", "-F", str(home / ".ssh/config"), host]
        lines = ran(*command, home=home).splitlines()
        found = [line.split(" ", 1)[1] for line in lines if line.startswith(f"{said} ")]
        return found[0] if found else "none"

    assert told("mine") == "none"
    assert told("other") == (asked.module if provider else asked.agent)


@interop
@pytest.mark.parametrize("content", [None, b"[user]\n\tname = \xff\n[gpg]\n  format=openpgp\n"])
def test_git_reads_it_and_its_file_comes_back(tmp_path: Path, content: bytes | None) -> None:
    git = program("git")
    if content is not None:
        (tmp_path / ".gitconfig").write_bytes(content)
    before = files_in(tmp_path)
    asked = wish(tmp_path)._replace(key=KEY)
    ledger = enable(GIT, asked)
    assert ran(git, "config", "--global", "gpg.format", home=tmp_path) == "ssh\n"
    assert ran(git, "config", "--global", "user.signingkey", home=tmp_path) == f"key::{KEY}\n"
    assert changes_of(GIT.edits(asked)) == []
    disable(GIT, ledger)
    assert files_in(tmp_path) == before


@interop
def test_gits_other_file_is_taken_where_that_is_the_one(tmp_path: Path) -> None:
    program("git")
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/config").write_text("[user]\n\tname = me\n")
    enable(GIT, wish(tmp_path)._replace(key=KEY))
    assert not (tmp_path / ".gitconfig").exists()
    assert "key::ssh-ed25519" in (tmp_path / ".config/git/config").read_text()


def test_git_wants_a_key(tmp_path: Path) -> None:
    program("git")
    with pytest.raises(BadRequest, match="which key"):
        GIT.edits(wish(tmp_path))


@interop
def test_a_configuration_that_git_does_not_read_is_left_alone(tmp_path: Path) -> None:
    program("git")
    (tmp_path / ".gitconfig").write_text("[user\n")
    with pytest.raises(BadRequest, match="git cannot"):
        changes_of(GIT.edits(wish(tmp_path)._replace(key=KEY)))


# --- p11-kit -------------------------------------------------------------------------


@interop
def test_p11_kit_loads_the_module() -> None:
    program("p11-kit")
    with TemporaryDirectory() as folder:
        home = Path(folder)
        module, environment = copied(home / "lib"), softhsm(home)
        ledger = enable(P11_KIT, wish(home, module=module))
        for path in (home, *home.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)

        def listed() -> str:
            return ran("p11-kit", "list-modules", home=home, ordinary=True, environment=environment)

        assert f"keyholm: {module}" in listed()
        disable(P11_KIT, ledger)
        assert "keyholm" not in listed()


def test_p11_kits_file_is_where_p11_kit_looks(tmp_path: Path) -> None:
    user, root = wish(tmp_path), wish(tmp_path, root=True)
    assert p11_kit.folder(user) == str(tmp_path / ".config/pkcs11/modules")
    assert p11_kit.folder(root) == "/etc/pkcs11/modules"
    elsewhere = user._replace(environment={**user.environment, "XDG_CONFIG_HOME": "/x"})
    assert p11_kit.folder(elsewhere) == "/x/pkcs11/modules"


def test_without_native_code_p11_kit_starts_keyholm(tmp_path: Path) -> None:
    asked = wish(tmp_path, module="")._replace(native=False)
    assert "\nremote: |/opt/keyholm p11 --stdio\n" in p11_kit.module_file(asked)
    spaced = asked._replace(command='/a b"c/keyholm')
    assert '\nremote: |"/a b\\"c/keyholm" p11 --stdio\n' in p11_kit.module_file(spaced)
    with pytest.raises(BadRequest, match="no native module"):
        p11_kit.module_file(asked._replace(native=True))


# --- NSS -----------------------------------------------------------------------------


def database(folder: Path, *modules: str) -> Path:
    """As the program itself makes one; with other modules in it."""
    program("certutil")
    folder.mkdir(parents=True)
    ran("certutil", "-N", "--empty-password", "-d", f"sql:{folder}", home=folder)
    for number, module in enumerate(modules):
        add(folder, f"other {number}", module)
    return folder


def add(folder: Path, name: str, module: str) -> None:
    ran(
        *("modutil", "-force", "-dbdir", f"sql:{folder}", "-add", name, "-libfile", module),
        home=folder,
    )


@interop
@pytest.mark.parametrize("others", [0, 1])
def test_what_is_written_is_what_modutil_writes(tmp_path: Path, others: int) -> None:
    module = some_module()
    ours = database(tmp_path / "a", *[copied(tmp_path / "lib")] * others)
    theirs = tmp_path / "b"
    shutil.copytree(ours, theirs)
    add(theirs, "keyholm", module)
    enable(NSS, wish(tmp_path, module=module)._replace(argument=str(ours)))
    written = (ours / "pkcs11.txt").read_text()
    assert written.replace(str(ours), "") == (
        (theirs / "pkcs11.txt").read_text().replace(str(theirs), "").replace(str(ours), "")
    )


@interop
def test_modutil_lists_it_and_then_no_more(tmp_path: Path) -> None:
    module = copied(tmp_path / "a place")
    folder = database(tmp_path / "db")
    before = files_in(folder)
    asked = wish(tmp_path, module=module)._replace(argument=str(folder))
    ledger = enable(NSS, asked)
    told = ran("modutil", "-dbdir", f"sql:{folder}", "-list", home=tmp_path)
    assert "keyholm" in told
    assert module in told
    assert changes_of(NSS.edits(asked)) == []
    disable(NSS, ledger)
    assert files_in(folder) == before
    assert "keyholm" not in ran("modutil", "-dbdir", f"sql:{folder}", "-list", home=tmp_path)


@interop
def test_a_module_that_moved_takes_its_old_place(tmp_path: Path) -> None:
    folder = database(tmp_path / "db")
    asked = wish(tmp_path, module="/old.so")._replace(argument=str(folder))
    enable(NSS, asked)
    add(folder, "later", some_module())
    ledger_less = changes_of(NSS.edits(asked._replace(module="/new.so")))
    text = (ledger_less[0].after or b"").decode()
    assert "/old.so" not in text
    assert text.index("library=/new.so") < text.index("name=later")
    assert changes_of(NSS.edits(asked)) == []


def test_a_folder_without_a_database_is_refused(tmp_path: Path) -> None:
    asked = wish(tmp_path)._replace(argument=str(tmp_path))
    with pytest.raises(BadRequest, match="there is none") as caught:
        NSS.edits(asked)
    assert "certutil -N" in caught.value.remedy
    (tmp_path / "secmod.db").touch()
    with pytest.raises(BadRequest, match="old form"):
        NSS.edits(asked)


def profile(home: Path, program: str = ".mozilla/firefox") -> Path:
    above = home / program
    folder = above / "abc.default"
    folder.mkdir(parents=True)
    (folder / "pkcs11.txt").write_bytes(b"library=\nname=NSS Internal PKCS #11 Module\nNSS=x\n\n")
    (above / "profiles.ini").write_text(
        "[Install4F96]\nDefault=abc.default\n\n"
        "[Profile1]\nName=never used\nIsRelative=1\nPath=xyz.unused\n\n"
        "[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\n\n[General]\nVersion=2\n"
    )
    return folder


@pytest.mark.parametrize(
    ("target", "where"), [(FIREFOX, ".mozilla/firefox"), (THUNDERBIRD, ".thunderbird")]
)
def test_each_profile_that_was_used_is_told(tmp_path: Path, target: Target, where: str) -> None:
    folder = profile(tmp_path, where)
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other)
    with (tmp_path / where / "profiles.ini").open("a") as file:
        file.write(f"\n[Profile2]\nIsRelative=0\nPath={other}\n")
    before = files_in(tmp_path)
    ledger = enable(target, wish(tmp_path))
    for told in (folder, other):
        assert "library=/opt/keyholm-pkcs11.so\nname=keyholm\n\n" in (
            (told / "pkcs11.txt").read_text()
        )
    disable(target, ledger)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("content", ["", "[Profile0]\nPath=gone\n", "no section", "\udcff"])
def test_without_a_profile_firefox_is_to_be_started_once(tmp_path: Path, content: str) -> None:
    above = tmp_path / ".mozilla/firefox"
    above.mkdir(parents=True)
    (above / "profiles.ini").write_text(content, errors="surrogateescape")
    with pytest.raises(BadRequest, match="no profile"):
        FIREFOX.edits(wish(tmp_path))


def test_a_running_program_is_left_alone(tmp_path: Path) -> None:
    folder = profile(tmp_path)
    lock = folder / "lock"
    assert FIREFOX.in_use(wish(tmp_path)) == ""
    lock.symlink_to(f"127.0.1.1:+{os.getpid()}")
    assert f"process {os.getpid()}" in FIREFOX.in_use(wish(tmp_path))
    lock.unlink()
    lock.symlink_to("127.0.1.1:+4194305")  # no process has so high a number
    assert FIREFOX.in_use(wish(tmp_path)) == ""

    lock = tmp_path / ".config/chromium/SingletonLock"
    lock.parent.mkdir(parents=True)
    lock.symlink_to(f"{socket.gethostname()}-{os.getpid()}")
    assert "chromium is running" in CHROMIUM.in_use(wish(tmp_path))
    lock.unlink()
    lock.symlink_to(f"another-host-{os.getpid()}")
    assert CHROMIUM.in_use(wish(tmp_path)) == ""


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((".pki/nssdb",), ".pki/nssdb"),
        ((".local/share/pki/nssdb",), ".local/share/pki/nssdb"),
        ((".pki/nssdb", ".local/share/pki/nssdb"), ".pki/nssdb"),
        ((), ".pki/nssdb"),
    ],
)
def test_chromiums_database_is_where_chromium_has_it(
    tmp_path: Path, there: Sequence[str], chosen: str
) -> None:
    for folder in there:
        (tmp_path / folder).mkdir(parents=True)
    assert nss.chromium_database(wish(tmp_path)) == str(tmp_path / chosen)


POLICY = '{"policies": {"DisableTelemetry": true}}'


@pytest.mark.parametrize(
    ("before", "devices"),
    [
        (None, {"Add": {"keyholm": "/k.so"}}),
        (POLICY, {"Add": {"keyholm": "/k.so"}}),
        (
            '{"policies": {"SecurityDevices": {"Add": {"o": "/o"}, "Delete": ["p"]}}}',
            {"Add": {"o": "/o", "keyholm": "/k.so"}, "Delete": ["p"]},
        ),
        ('{"policies": {"SecurityDevices": {"o": "/o"}}}', {"o": "/o", "keyholm": "/k.so"}),
    ],
)
def test_root_tells_firefox_by_policy(before: str | None, devices: object) -> None:
    (edit,) = FIREFOX.edits(wish(Path("/root"), module="/k.so", root=True))
    assert edit.path == "/etc/firefox/policies/policies.json"
    content = None if before is None else before.encode()
    after = edit.with_ours(content)
    document = json.loads(after)
    assert document["policies"]["SecurityDevices"] == devices
    assert ("DisableTelemetry" in document["policies"]) == (before == POLICY)
    assert edit.with_ours(after) == after


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"policies": 1}', b'{"policies": {"SecurityDevices": []}}']
)
def test_a_policy_that_is_none_is_left_alone(content: bytes) -> None:
    (edit,) = FIREFOX.edits(wish(Path("/root"), root=True))
    with pytest.raises(BadRequest):
        edit.with_ours(content)


# --- files that programs are pointed at ----------------------------------------------


@interop
def test_java_loads_the_module_by_either_file(tmp_path: Path) -> None:
    program("keytool")
    environment = softhsm(tmp_path)
    ledger = enable(JAVA, wish(tmp_path, module=SOFTHSM))

    def keytool(*words: str) -> str:
        keystore = ("-list", "-keystore", "NONE", "-storetype", "PKCS11", "-storepass", "1234")
        return ran("keytool", *keystore, *words, home=tmp_path, environment=environment)

    words = (
        "-providerClass", "sun.security.pkcs11.SunPKCS11",
        "-providerArg", str(tmp_path / "keyholm/java.cfg"),
    )  # fmt: skip
    assert "SunPKCS11-keyholm" in keytool(*words)
    security = f"-J-Djava.security.properties={tmp_path / 'keyholm/java.security'}"
    assert "SunPKCS11-keyholm" in keytool(security)
    disable(JAVA, ledger)
    assert not (tmp_path / "keyholm").exists()


@interop
@pytest.mark.parametrize(("target", "name"), [(OPENSSL, "openssl.cnf"), (CURL, "curl.cnf")])
def test_openssl_loads_its_engine_with_the_module(
    tmp_path: Path, target: Target, name: str
) -> None:
    openssl, module = program("openssl"), some_module()
    try:
        enable(target, wish(tmp_path, module=module))
    except BadRequest as error:
        pytest.skip(f"libengine-pkcs11-openssl is not installed: {error.what}")
    done = subprocess.run(
        [openssl, "engine", "-t", "pkcs11"],
        env={**os.environ, "OPENSSL_CONF": str(tmp_path / "keyholm" / name)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[ available ]" in done.stdout
    assert done.stderr == ""


def test_a_provider_is_taken_before_an_engine(tmp_path: Path) -> None:
    assert "pkcs11-module-path" in snippets.openssl_configuration(
        "openssl", "/k.so", provider="/p.so", engine="/e.so"
    )
    assert "MODULE_PATH = /k.so" in snippets.openssl_configuration(
        "openssl", "/k.so", provider="", engine="/e.so"
    )
    with pytest.raises(BadRequest, match="neither"):
        snippets.openssl_configuration("openssl", "/k.so", provider="", engine="")


def test_java_is_not_given_what_it_would_misread(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="quotes"):
        JAVA.edits(wish(tmp_path, module='/a"b.so'))


@pytest.mark.parametrize(
    "target", [P11_KIT, OPENSSL, CURL, JAVA, NSS, CHROMIUM], ids=lambda t: t.name
)
def test_without_the_module_it_is_said_how_to_get_it(tmp_path: Path, target: Target) -> None:
    (tmp_path / ".pki/nssdb").mkdir(parents=True)
    (tmp_path / ".pki/nssdb/pkcs11.txt").touch()
    with pytest.raises(BadRequest, match="no native module") as caught:
        target.edits(wish(tmp_path, module="")._replace(argument=str(tmp_path / ".pki/nssdb")))
    assert "--module" in caught.value.remedy
