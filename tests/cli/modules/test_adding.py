"""A module that shall be added: what is refused, and what its file will say."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from tests.daemon.vendors.elf_files import library, write

from keyholm.cli.modules.adding import Plan, Wish, library_path, planned
from keyholm.core.errors import AlreadyExists, BadConfiguration, BadRequest, KeyholmError
from keyholm.daemon.module_files import Login, Modules, ModuleSettings
from keyholm.daemon.places import Places
from keyholm.daemon.vendors import elf
from keyholm.daemon.vendors.needs import Kind, Need

OURS = elf.machine_of(os.path.realpath(sys.executable))
NONE = Modules({}, {})


def own_machine(*needed: str) -> bytes:
    return library(needed, bits=OURS.bits, big=OURS.big_endian, machine=OURS.number)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def plan(path: str, there: Modules = NONE, *, home: Path | None = None, **more: object) -> Plan:
    root = home or Path("/nonexistent/keyholm")
    places = Places(root / "config/config.toml", root / "data", root / "run")
    return planned(Wish(path, **more), there, places, {"HOME": "/nonexistent"})  # type: ignore[arg-type]


def refused(path: str, kind: type[KeyholmError], sentence: str, **more: object) -> KeyholmError:
    with pytest.raises(kind) as caught:
        plan(path, **more)  # type: ignore[arg-type]
    assert sentence in str(caught.value)
    assert type(caught.value) is kind
    return caught.value


def test_an_unknown_module_sees_what_it_is_given(folder: Path) -> None:
    path = write(folder / "libacme-pkcs11.so", own_machine())
    made = plan(
        path,
        init_args="x=1",
        login=Login.APPLICATION,
        pin_hash=True,
        more=[Need(Kind.READS, "/opt/acme", ""), Need(Kind.NETWORK, "", "")],
    )
    assert (made.name, made.title) == ("acme", "")
    assert made.settings == ModuleSettings(
        path,
        init_args="x=1",
        login=Login.APPLICATION,
        sha256=made.settings.sha256,
        reads=("/opt/acme",),
        network=True,
    )
    assert len(made.settings.sha256) == 64
    assert made.warnings == ("/opt/acme is not there ().",)


def test_a_well_known_one_gets_what_it_needs(folder: Path) -> None:
    path = write(folder / "libsofthsm2.so", own_machine())
    tokens = folder / "tokens"
    tokens.mkdir()
    conf = folder / "my.conf"
    conf.write_text(f"directories.tokendir = {tokens}\n")
    made = plan(path, env={"SOFTHSM2_CONF": str(conf)})
    assert made.settings.reads == (str(conf),)
    assert made.settings.writes == (str(tokens),)
    assert made.settings.env == {"SOFTHSM2_CONF": str(conf)}
    assert (made.name, made.warnings) == ("softhsm2", ())


def test_the_path_keeps_its_links(folder: Path) -> None:
    write(folder / "libacme.so.1.2", own_machine())
    (folder / "libacme.so").symlink_to("libacme.so.1.2")
    assert plan(f"{folder}/libacme.so").settings.path == f"{folder}/libacme.so"


def test_a_variable_of_the_shell_that_the_module_would_miss_is_told(folder: Path) -> None:
    path = write(folder / "libsofthsm2.so", own_machine())
    places = Places(Path("/none/c/c.toml"), Path("/none/d"), Path("/none/r"))
    made = planned(Wish(path), NONE, places, {"SOFTHSM2_CONF": "/a b", "HOME": "/none"})
    assert f"--env SOFTHSM2_CONF={shlex.quote('/a b')}" in made.warnings[0]
    assert "SOFTHSM2_CONF" not in made.settings.env


# --- refused -------------------------------------------------------------------------


def test_one_that_is_not_there(folder: Path) -> None:
    refused(f"{folder}/none.so", BadRequest, "is not there. `keyholm doctor` lists")
    refused(str(folder), BadRequest, "is no file")
    refused("cloudhsm", BadRequest, "AWS CloudHSM is not installed where libraries usually are.")


def test_one_for_another_machine(folder: Path) -> None:
    path = write(folder / "a.so", library(machine=21, big=True))
    refused(path, BadConfiguration, f"{path} is for PowerPC 64 of 64 bits, big-endian, and this")


def test_a_program_or_another_library(folder: Path) -> None:
    other = library(bits=OURS.bits, big=OURS.big_endian, machine=OURS.number, names=("main",))
    path = write(folder / "a.so", other)
    refused(path, BadConfiguration, "is no PKCS#11 module: it has no C_GetFunctionList.")
    refused(os.path.realpath(sys.executable), BadConfiguration, "is ")
    refused(__file__, BadConfiguration, "is not in ELF format; it looks like text")


def test_one_whose_libraries_are_missing(folder: Path) -> None:
    path = write(folder / "a.so", own_machine("libc.so.6", "libacme-core.so.4"))
    error = refused(
        path,
        BadConfiguration,
        f"{path} cannot be loaded: it lacks libacme-core.so.4 (it is not installed), which {path}",
    )
    assert "ldconfig" in error.remedy


def test_one_that_others_could_replace(folder: Path) -> None:
    path = write(folder / "open/a.so", own_machine())
    (folder / "open").chmod(0o777)
    refused(path, BadConfiguration, f"{folder}/open can be written by others")


@pytest.mark.parametrize("name", ["keyholm-pkcs11.so", "p11-kit-proxy.so", "libp11-kit.so.0"])
def test_one_that_leads_back_to_keyholm(folder: Path, name: str) -> None:
    path = write(folder / name, own_machine())
    refused(path, BadConfiguration, "it would show keyholm its own keys.")
    (folder / "innocent.so").symlink_to(name)
    refused(f"{folder}/innocent.so", BadConfiguration, "it would show keyholm its own keys.")


def test_one_that_would_see_keyholms_own_files(folder: Path) -> None:
    path = write(folder / "lib/a.so", own_machine())
    home = folder / "keyholm"
    for seen in (home / "run/pkcs11", home / "data", folder, Path("/")):
        with pytest.raises(BadConfiguration, match=r"where keyholm's own files are|everything"):
            plan(path, home=home, more=[Need(Kind.SOCKETS, str(seen), "")])
    client = write(folder / "lib/p11-kit-client.so", own_machine())
    with pytest.raises(BadConfiguration, match="where keyholm's own files are"):
        plan(client, home=home, env={"P11_KIT_SERVER_ADDRESS": f"unix:path={home}/run/pkcs11"})


def test_one_that_wants_to_be_told_first(folder: Path) -> None:
    path = write(folder / "libsoftokn3.so", own_machine())
    error = refused(path, BadRequest, "cannot start so. It wants to be told where its database is.")
    assert error.remedy.startswith("Add --init-args \"configdir='sql:")
    arguments = shlex.split(error.remedy)[2]
    assert plan(path, init_args=arguments).settings.reads == ("/nonexistent/.pki/nssdb",)


def test_one_that_is_there_already(folder: Path) -> None:
    path = write(folder / "libacme.so", own_machine())
    (folder / "other.so").symlink_to(path)
    there = Modules({"hsm": ModuleSettings(path, env={"A": "1"})}, {"bad": BadConfiguration("x")})
    with pytest.raises(AlreadyExists, match="is added already, as hsm"):
        plan(f"{folder}/other.so", there, env={"A": "1"})
    for name in ("hsm", "bad"):
        with pytest.raises(AlreadyExists, match=f"There is a module {name} already"):
            plan(path, there, name=name)
    assert plan(path, there, env={"A": "2"}).name == "acme"


def test_a_name_that_is_none(folder: Path) -> None:
    path = write(folder / "libacme.so", own_machine())
    refused(path, BadConfiguration, "'../x' is no name for a module", name="../x")


def test_a_variable_that_cannot_work(folder: Path) -> None:
    path = write(folder / "libacme.so", own_machine())
    refused(path, BadConfiguration, "env has LD_PRELOAD", env={"LD_PRELOAD": "/x.so"})


def test_a_name_beside_a_file_of_that_name_means_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "opensc", own_machine())
    monkeypatch.chdir(folder)
    assert library_path("opensc", {}) == str(folder / "opensc")
