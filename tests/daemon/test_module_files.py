"""The files of vendors' modules: what they may say, and whose they must be."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from keyholm.core.errors import BadConfiguration
from keyholm.daemon import module_files
from keyholm.daemon.module_files import BOUNDS, Login, ModuleSettings, check

ALL = ModuleSettings(
    path="/usr/lib/softhsm/libsofthsm2.so",
    env={"SOFTHSM2_CONF": "/home/me/softhsm2.conf", "B": 'quotes " and \\ and \x7f'},
    init_args="configdir='sql:/home/me/nss' flags=readOnly",
    login=Login.APPLICATION,
    sha256="ab" * 32,
    reads=("/home/me/softhsm2.conf",),
    writes=("/home/me/tokens",),
    devices=("/dev/hidraw*",),
    sockets=("/run/pcscd/pcscd.comm",),
    network=True,
    ipc=True,
    memory_mib=512,
    descriptors=64,
    call_seconds=12.5,
    start_seconds=30,
    idle_seconds=600,
    enabled=False,
    enable_in=("ssh",),
    priority=-3,
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "keyholm/modules"
    module_files.write(folder, "softhsm2", ALL)
    assert module_files.read(folder, "softhsm2") == ALL
    for each in fields(ALL):
        if each.name != "disable_in":  # it excludes enable_in
            assert getattr(ALL, each.name) != each.default, each.name


def test_only_what_is_not_as_by_default_is_written() -> None:
    text = module_files.written(ModuleSettings("/usr/lib/a.so", disable_in=("firefox",)))
    assert text.splitlines()[1:] == ['path = "/usr/lib/a.so"', 'disable_in = ["firefox"]']


@given(
    path=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50),
    arguments=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
def test_any_text_survives_the_file(path: str, arguments: str) -> None:
    settings = ModuleSettings(f"/{path}", init_args=arguments[:4000], env={"A": arguments[:4000]})
    assert check(module_files.written(settings)) == settings


def test_text_that_is_not_utf8_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="UTF-8"):
        module_files.write(tmp_path / "modules", "a", ModuleSettings("/\udcff.so"))
    assert not (tmp_path / "modules").exists()


WRONG = {
    "": "Object missing required field `path`.",
    "path = 1": "path: Expected `str`, got `int`.",
    "path = 'a.so'": "path is 'a.so', which is no absolute path.",
    "path = '/a'\nread = ['/b']": "There is no key `read`. Did you mean `reads`?",
    "path = '/a'\nnetwrok = true": "There is no key `netwrok`. Did you mean `network`?",
    "path = '/a'\nxyzzy = 1": "There is no key `xyzzy`. docs/modules.md",
    "path = '/a'\nlogin = 'me'": "login: Invalid enum value 'me'.",
    "path = '/a'\nreads = ['b']": "reads has 'b', which is no absolute path.",
    "path = '/a'\nwrites = ['//.']": "writes has '//.', which is everything there is.",
    "path = '/a'\nmemory_mib = 1": "memory_mib is 1; it must be from 64 to 1048576.",
    "path = '/a'\ncall_seconds = nan": "call_seconds is nan",
    "path = '/a'\nidle_seconds = inf": "idle_seconds is inf",
    "path = '/a'\nsha256 = 'AB'": "sha256 must be 64 hexadecimal digits.",
    "path = '/a'\nenv = {LD_PRELOAD = '/b'}": "env has LD_PRELOAD",
    "path = '/a'\nenv = {PYTHONPATH = '/b'}": "env has PYTHONPATH",
    "path = '/a'\nenv = {'A=B' = 'c'}": "env has 'A=B', which is no name of a variable.",
    "path = '/a'\nenv = {A = \"\\u0000\"}": "env.A has a text with a zero in it",
    "path = '/a'\nenable_in = ['a']\ndisable_in = ['b']": "exclude each other",
    "path = ": "This is not TOML",
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.items())
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        check(text)
    assert sentence in str(caught.value)


def test_the_bounds_are_of_keys_that_exist_and_hold_their_defaults() -> None:
    for name, (least, most) in BOUNDS.items():
        assert least <= getattr(ModuleSettings("/a"), name) <= most


def test_lists_are_bounded() -> None:
    for name in ("reads", "enable_in"):
        with pytest.raises(BadConfiguration, match=f"{name} has 257 entries"):
            module_files.check_values(replace(ModuleSettings("/a"), **{name: ("/b",) * 257}))
    with pytest.raises(BadConfiguration, match="very long"):
        module_files.check_values(ModuleSettings("/a", init_args="x" * 5000))


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a-", "a.b", "a" * 33, "é"])
def test_a_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match="is no name for a module"):
        module_files.file_of(tmp_path, name)


# --- the folder ----------------------------------------------------------------------


def test_without_a_folder_there_is_no_module(tmp_path: Path) -> None:
    assert module_files.read_folder(tmp_path / "none") == ({}, {})


def test_a_wrong_file_concerns_no_other_module(tmp_path: Path) -> None:
    module_files.write(tmp_path / "m", "a", ModuleSettings("/a"))
    module_files.write(tmp_path / "m", "b", ModuleSettings("/b", priority=1))
    tmp_path.joinpath("m/c.toml").write_text("paht = 1")
    tmp_path.joinpath("m/No Name.toml").write_text("path = '/a'")
    tmp_path.joinpath("m/.hidden.toml").write_text("path = '/a'")
    tmp_path.joinpath("m/README").write_text("nothing of ours")
    good, bad = module_files.read_folder(tmp_path / "m")
    assert list(good) == ["b", "a"]
    assert set(bad) == {"c", "No Name"}
    assert bad["c"].what.startswith(f"{tmp_path}/m/c.toml: There is no key `paht`")


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = module_files.write(tmp_path / "m", "a", ModuleSettings("/a"))
    file.chmod(0o646)
    _, bad = module_files.read_folder(tmp_path / "m")
    assert bad["a"].what == f"{file} can be written by others."


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    module_files.write(tmp_path / "m", "a", ModuleSettings("/a"))
    (tmp_path / "m").chmod(0o757)
    with pytest.raises(BadConfiguration, match="can be written by others"):
        module_files.read_folder(tmp_path / "m")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(module_files.MOST + 1):
        tmp_path.joinpath(f"m{number}.toml").write_text("path = '/a'")
    with pytest.raises(BadConfiguration, match="65 files; 64 modules are the most"):
        module_files.read_folder(tmp_path)


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    for act in (module_files.read, module_files.remove):
        with pytest.raises(BadConfiguration, match="There is no module a"):
            act(tmp_path, "a")


def test_a_removed_module_is_gone(tmp_path: Path) -> None:
    module_files.write(tmp_path / "m", "a", ModuleSettings("/a"))
    module_files.remove(tmp_path / "m", "a")
    assert os.listdir(tmp_path / "m") == []


# --- the library ---------------------------------------------------------------------


def library(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lib.so"
    file.write_bytes(b"a library")
    file.chmod(0o755)
    return file


def test_the_real_path_of_a_library_is_found(tmp_path: Path) -> None:
    file = library(tmp_path / "real")
    tmp_path.joinpath("link.so").symlink_to("real/../real/lib.so")
    settings = ModuleSettings(f"{tmp_path}/./link.so")
    assert module_files.check_library("a", settings) == str(file)


def test_a_pinned_library_that_changed_is_refused(tmp_path: Path) -> None:
    file = library(tmp_path)
    settings = ModuleSettings(str(file), sha256=module_files.digest(str(file)))
    assert module_files.check_library("a", settings) == str(file)
    file.write_bytes(b"another one")
    with pytest.raises(BadConfiguration, match="not the file that was pinned") as caught:
        module_files.check_library("a", settings)
    assert "`keyholm module pin a`" in caught.value.remedy


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=f"Module a: {tmp_path}/no.so is not there."):
        module_files.check_library("a", ModuleSettings(f"{tmp_path}/no.so"))
