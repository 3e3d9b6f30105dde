"""p11-kit's configuration: read as p11-kit itself reads it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.cli.registration.house import an_ordinary_user, some_module
from tests.programs import program

from keyholm.cli.modules import p11_kit
from keyholm.cli.modules.p11_kit import Configuration, Described, Where, default_folders, usual
from keyholm.core.errors import BadConfiguration


@pytest.fixture
def where(tmp_path: Path) -> Where:
    return Where(
        str(tmp_path / "etc"), str(tmp_path / "share"), str(tmp_path / "home"), ("/usr/lib/pkcs11",)
    )


def put(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(text)


def system(where: Where, name: str, text: str) -> None:
    put(f"{where.system}/modules/{name}.module", text)


def packaged(where: Where, name: str, text: str) -> None:
    put(f"{where.packaged}/{name}.module", text)


def own(where: Where, name: str, text: str) -> None:
    put(f"{where.user}/modules/{name}.module", text)


def read(where: Where) -> dict[str, Described]:
    return {each.name: each for each in p11_kit.read(where).modules}


def test_without_a_configuration_there_is_nothing(where: Where) -> None:
    assert p11_kit.read(where) == Configuration([], [])


def test_all_that_a_file_says_is_read(where: Where) -> None:
    text = """
# A comment
module:   acme.so
  critical: yes
managed : no
priority: 7
enable-in: ssh, seahorse  p11-kit-proxy
trust-policy: yes
x-init-reserved: configdir='/a b'
x-other: text: with a colon
"""
    packaged(where, "acme", text)
    assert read(where)["acme"] == Described(
        "acme",
        (f"{where.packaged}/acme.module",),
        "acme.so",
        "/usr/lib/pkcs11/acme.so",
        enable_in=("ssh", "seahorse"),
        priority=7,
        critical=True,
        managed=False,
        trust_policy=True,
        init_args="configdir='/a b'",
    )


def test_each_field_of_the_user_counts_before_the_systems(where: Where) -> None:
    packaged(where, "a", "module: /packaged.so\npriority: 1\ndisable-in: one")
    system(where, "a", "module: /system.so\npriority: 2")
    own(where, "a", "module: /own.so")
    found = read(where)["a"]
    assert (found.path, found.priority, found.disable_in) == ("/own.so", 2, ("one",))
    assert len(found.files) == 3


def test_an_empty_module_of_the_user_switches_it_off(where: Where) -> None:
    packaged(where, "a", "module: /packaged.so")
    own(where, "a", "module:")
    assert read(where)["a"].module == ""


def test_modules_come_by_priority_and_then_by_name(where: Where) -> None:
    for name, priority in (("b", "0"), ("a", "x"), ("c", "1"), ("d", "-1")):
        packaged(where, name, f"module: /a.so\npriority: {priority}")
    assert list(read(where)) == ["c", "a", "b", "d"]


@pytest.mark.parametrize(
    ("of_system", "of_user", "names"),
    [
        ("", "", {"own", "system", "packaged"}),
        ("user-config: merge", "", {"own", "system", "packaged"}),
        ("user-config: none", "user-config: only", {"system", "packaged"}),
        ("user-config: only", "", {"own"}),
        ("user-config: merge", "user-config: only", {"own"}),
        ("", "user-config: override", {"own"}),
        ("user-config: only", "user-config: merge", {"own", "system", "packaged"}),
        ("", "user-config: none", {"system", "packaged"}),
    ],
)
def test_whose_modules_count_is_configured(
    where: Where, of_system: str, of_user: str, names: set[str]
) -> None:
    put(f"{where.system}/pkcs11.conf", of_system)
    put(f"{where.user}/pkcs11.conf", of_user)
    for make in (own, system, packaged):
        make(where, make.__name__, "module: /a.so")
    assert set(read(where)) == names


def test_another_word_for_user_config_is_refused(where: Where) -> None:
    put(f"{where.system}/pkcs11.conf", "user-config: some")
    with pytest.raises(BadConfiguration, match=r"pkcs11\.conf: user-config is 'some'"):
        p11_kit.read(where)


def test_both_lists_at_once_are_told_of(where: Where) -> None:
    packaged(where, "a", "module: /a.so\nenable-in: x\ndisable-in: y")
    found = read(where)["a"]
    assert (found.enable_in, found.disable_in) == (("x",), ())
    assert "enable-in counts" in found.remarks[0]


def test_what_is_strange_is_told_and_passed_over(where: Where) -> None:
    packaged(where, "good", "module: /a.so\nno colon here")
    put(f"{where.packaged}/.hidden.module", "module: /b.so")
    put(f"{where.packaged}/README", "text")
    put(f"{where.packaged}/folder.module/x", "text")
    found = p11_kit.read(where)
    assert [each.name for each in found.modules] == ["good"]
    assert sorted(found.remarks) == sorted(
        [
            f"{where.packaged}/.hidden.module was passed over: p11-kit wants NAME.module.",
            f"{where.packaged}/README was passed over: p11-kit wants NAME.module.",
            f"{where.packaged}/good.module:2: 'no colon here' is no `name: value`.",
        ]
    )


def test_any_bytes_are_read_somehow(where: Where) -> None:
    put(f"{where.packaged}/a.module", "")
    Path(f"{where.packaged}/a.module").write_bytes(b"module: /\xff\x00\n:\n::\n\xfe: x")
    assert read(where)["a"].path.startswith("/")


def test_roots_home_is_not_looked_at() -> None:
    found = usual({"HOME": "/home/me"})
    assert found.user == ("" if os.geteuid() == 0 else "/home/me/.config/pkcs11")


@pytest.mark.interop
def test_p11_kit_finds_the_same_modules_and_order() -> None:
    """p11-kit as an ordinary user, with modules in a home of their own."""
    program("p11-kit")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        library = shutil.copy(some_module(), home / "lib.so")
        modules = home / ".config/pkcs11/modules"
        modules.mkdir(parents=True)
        for name, text in {
            "mine": f"module: {library}\npriority: 5",
            "second": f"module: {library}\npriority: 4\nenable-in: nobody-at-all",
            "opensc-pkcs11": "module:",
            "p11-kit-trust": "module:",
            "softhsm2": "module:",
            "tpm2_pkcs11": "module:",
        }.items():
            (modules / f"{name}.module").write_text(f"{text}\n")
        for path in (home, *home.rglob("*")):
            path.chmod(0o755)
        environment = {"HOME": folder, "PATH": os.environ["PATH"], "SOFTHSM2_CONF": f"{home}/none"}
        told = subprocess.run(
            ["p11-kit", "list-modules"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            **an_ordinary_user(),  # type: ignore[call-overload]
        ).stdout
        listed = [line.split(":")[0] for line in told.splitlines() if line[:1].isalpha()]
        found = p11_kit.read(Where(user=str(home / ".config/pkcs11"))).modules
    ours = [each.name for each in found if each.module and not each.enable_in]
    assert "mine" in ours
    assert [name for name in listed if name in ours] == [name for name in ours if name in listed]
    assert "second" not in listed
    assert "softhsm2" not in ours
    assert not {"softhsm2", "opensc-pkcs11", "p11-kit-trust"} & set(listed)


def test_a_module_without_a_folder_is_where_p11_kit_looks() -> None:
    assert all(folder.endswith("/pkcs11") for folder in default_folders())
