"""The configuration file: what it may say, and how what it may not say is told."""

import contextlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyholm.core.errors import BadConfiguration
from keyholm.core.model import Kind
from keyholm.daemon.configuration import (
    BOUNDS,
    Access,
    Configuration,
    Durability,
    PrompterName,
    Selected,
    VisibleDoor,
    check,
    paths,
    read,
    socket_mode,
    value_at,
)

EVERYTHING = """
uids = [1000, 1001]
[tokens.main]
uids = [1001]
[[visible]]
exe = "ssh"
door = "agent"
hide = {names = ["ci-*"]}
[[visible]]
exe = ["/usr/bin/openssl", "nginx"]
only = {algorithms = ["rsa-*", "rsa-5000"], tokens = ["disk/main"], kinds = ["private"]}
[trail]
durability = "durable"
segment_mib = 4
keep_mib = 100
reserve_mib = 1
[trail.witness]
file = "/mnt/other/checkpoints"
journal = true
command = ["/usr/bin/logger", "-t", "keyholm"]
[memory]
shield_seconds = 0.5
[prompters]
order = ["pinentry", "terminal"]
askpass = "/usr/bin/ssh-askpass"
pinentry = "/usr/bin/pinentry-curses"
seconds = 30
[agent]
lifetime = 3600
providers = "/usr/lib/*"
remote_providers = true
websafe = "ssh:*,https://example.com"
restrict_websafe = false
sha1 = false
[limits]
connections = 10
connections_of_uid = 5
frame_seconds = 1.5
[sockets]
mode = "0660"
[tpm]
device = "/dev/tpm0"
"""


def test_nothing_said_means_all_defaults() -> None:
    assert check("") == Configuration()


def test_all_of_it_can_be_said() -> None:
    found = check(EVERYTHING)
    assert found.uids == (1000, 1001)
    assert found.tokens == {"main": Access((1001,))}
    assert found.trail.durability is Durability.DURABLE
    assert found.trail.witness.command == ("/usr/bin/logger", "-t", "keyholm")
    assert found.prompters.order == (PrompterName.PINENTRY, PrompterName.TERMINAL)
    assert found.memory.shield_seconds == 0.5
    assert found.prompters.seconds == 30
    assert not found.agent.sha1
    first, second = found.visible
    assert (first.programs, first.door, first.only) == (("ssh",), VisibleDoor.AGENT, None)
    assert second.programs == ("/usr/bin/openssl", "nginx")
    assert second.only == Selected(("rsa-*", "rsa-5000"), ("disk/main",), (), (Kind.PRIVATE,))
    for path in paths():
        assert value_at(found, path) != value_at(Configuration(), path), path


def test_every_key_is_in_the_documentation() -> None:
    text = Path(__file__).parents[2].joinpath("docs/configuration.md").read_text()
    for path in paths():
        assert f"`{path}`" in text, path


# What is wrong, and what is said about it.
WRONG = {
    "agnet = 1": "There is no key `agnet`. Did you mean `agent`?",
    "[trail]\ndurabilty = 'durable'": "`trail.durabilty`. Did you mean `trail.durability`?",
    "[trail.witness]\nfil = '/x'": "`trail.witness.fil`. Did you mean `trail.witness.file`?",
    "[tokens.main]\nuid = [1]": "`tokens.main.uid`. Did you mean `tokens.main.uids`?",
    "[limits]\nxyzzy = 1": "There is no key `limits.xyzzy`. `keyholm config check`",
    "uids = ['me']": "uids[0]: Expected `int`, got `str`.",
    "trail = 1": "trail: Expected `object`, got `int`.",
    "[trail]\ndurability = 'maybe'": "trail.durability: Invalid enum value 'maybe'.",
    "[prompters]\norder = ['bell']": "prompters.order[0]: Invalid enum value 'bell'.",
    "[prompters]\naskpass = 'askpass'": "no absolute path",
    "[trail.witness]\ncommand = ['logger']": "no absolute path",
    "[limits]\nconnections = 0": "limits.connections is 0; it must be from 1 to 65536.",
    "[memory]\nshield_seconds = -1": "memory.shield_seconds is -1",
    "uids = [-1]": "uids names -1, which is no uid.",
    "[tokens.a]\nuids = [4294967295]": "tokens.a.uids names 4294967295, which is no uid.",
    "[sockets]\nmode = '0888'": "sockets.mode is '0888'",
    "[sockets]\nmode = '0066'": "sockets.mode is '0066'",
    "uids = [": "This is not TOML",
    "[[visible]]\nexee = 'a'": "`visible[0].exee`. Did you mean `visible[0].exe`?",
    "[[visible]]\nhide = {algorithm = ['a']}": "Did you mean `visible[0].hide.algorithms`?",
    "[[visible]]\ndoor = 'control'\nexe = 'a'": "Invalid enum value 'control'",
    "[[visible]]": "visible[0] says nothing.",
    "[[visible]]\nexe = ''": "visible[0].exe names no program.",
    "[[visible]]\nexe = ['a', '']": "visible[0].exe names no program.",
    "[[visible]]\nexe = 'bin/a'": "neither a name nor an absolute path",
    "[[visible]]\nhide = {}": "visible[0].hide is empty",
    "[[visible]]\nonly = {names = []}": "visible[0].only is empty",
    "[[visible]]\nhide = {kinds = ['keys']}": "Invalid enum value 'keys'",
    "[[visible]]\nhide = {algorithms = ['ed25591']}": "Did you mean `ed25519`?",
    "[[visible]]\nhide = {algorithms = ['x25520*']}": "no key is 'x25520*'",
    "visible = 1": "visible: Expected `array`, got `int`.",
    "a = 1\na = 2": "This is not TOML",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        check(text)
    assert said in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(("path", "bounds"), BOUNDS.items())
def test_a_number_may_be_as_small_or_large_as_it_says(
    path: str, bounds: tuple[float, float]
) -> None:
    table, _, name = path.partition(".")
    for good in bounds:
        check(f"[{table}]\n{name} = {good}")
    for bad in (bounds[0] - 1, bounds[1] + 1):
        with pytest.raises(BadConfiguration, match=re.escape(path)):
            check(f"[{table}]\n{name} = {bad}")


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_refused_with_a_sentence(text: str) -> None:
    with contextlib.suppress(BadConfiguration):
        assert isinstance(check(text), Configuration)


def test_a_deep_document_is_refused() -> None:
    with pytest.raises(BadConfiguration):
        check("a = " + "[" * 100_000)


# --- the file ------------------------------------------------------------------------


def test_no_file_means_all_defaults(tmp_path: Path) -> None:
    assert read(tmp_path / "config.toml") == Configuration()
    assert read(Path(os.devnull)) == Configuration()


def test_what_is_wrong_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("agnet = 1")
    with pytest.raises(BadConfiguration, match=rf"^{re.escape(str(path))}: There is no key"):
        read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (1024 * 1024 + 1)])
def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(BadConfiguration):
        read(path)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """It names programs that the daemon starts."""
    path = tmp_path / "config.toml"
    path.write_text("")
    path.write_text("[agent]\n")
    path.chmod(mode)
    with pytest.raises(BadConfiguration, match="can be written by others"):
        read(path)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("contract only: needs root")
    path = tmp_path / "config.toml"
    path.write_text("[agent]\n")
    os.chown(path, 65534, 65534)
    with pytest.raises(BadConfiguration, match="belongs to uid 65534"):
        read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read"):
        read(tmp_path)


# --- sockets -------------------------------------------------------------------------


def test_sockets_are_for_the_user_alone_or_for_all_of_a_system() -> None:
    assert socket_mode(Configuration(), system=False) == 0o600
    assert socket_mode(Configuration(), system=True) == 0o666
    assert socket_mode(check("[sockets]\nmode = '0660'"), system=True) == 0o660
