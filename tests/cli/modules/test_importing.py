"""What is taken over from p11-kit, and what is said about the rest."""

from pathlib import Path

import pytest
from tests.cli.modules.test_adding import own_machine
from tests.daemon.vendors.elf_files import write

from keyholm.cli.modules.importing import Taken, masked, takeover
from keyholm.cli.modules.p11_kit import Configuration, Described
from keyholm.daemon.module_files import Login, Modules, ModuleSettings
from keyholm.daemon.places import Places

PLACES = Places(Path("/none/c/config.toml"), Path("/none/d"), Path("/none/r"))


def described(name: str, path: str, **more: object) -> Described:
    return Described(name, (), path, path, **more)  # type: ignore[arg-type]


def taken(*modules: Described, there: Modules | None = None) -> list[Taken]:
    known = there or Modules({}, {})
    return takeover(Configuration([*modules], []), known, PLACES, {}, Login.APPLICATION)


@pytest.fixture
def acme(tmp_path: Path) -> str:
    tmp_path.chmod(0o755)
    return write(tmp_path / "acme.so", own_machine())


def test_what_p11_kit_says_becomes_what_the_file_says(acme: str) -> None:
    (found,) = taken(
        described("My_ACME.v2", acme, enable_in=("ssh", "git"), priority=4, init_args="a b")
    )
    assert found.plan
    assert found.plan.name == "my-acme-v2"
    assert found.plan.settings == ModuleSettings(
        acme, init_args="a b", login=Login.APPLICATION, enable_in=("ssh", "git"), priority=4
    )


def test_what_has_no_effect_here_is_said(acme: str) -> None:
    (found,) = taken(
        described("a", acme, critical=True, managed=False, trust_policy=True, remarks=("odd",))
    )
    assert found.plan
    first, *more = found.remarks
    assert first == "odd"
    assert [each.partition(":")[0] for each in more] == ["`critical", "`managed", "`trust-policy"]


def test_what_is_left_out_says_why(tmp_path: Path, acme: str) -> None:
    trust = write(tmp_path / "p11-kit-trust.so", own_machine())
    proxy = write(tmp_path / "p11-kit-proxy.so", own_machine())
    ours = write(tmp_path / "keyholm-pkcs11.so", own_machine())
    found = taken(
        described("remote", acme, remote="|ssh host p11-kit remote"),
        Described("off", (), "", ""),
        described("gone", "/none/a.so"),
        described("trust", trust),
        described("proxy", proxy),
        described("keyholm", ours),
        described("text", __file__),
    )
    assert [each.plan for each in found] == [None] * 7
    for each, word in zip(
        found,
        (
            "it is remote",
            "it is switched off",
            "/none/a.so is not there",
            "certificates of authorities",
            "its own keys",
            "its own keys",
            "no library",
        ),
        strict=True,
    ):
        assert word in each.skipped


def test_a_module_that_is_there_is_not_added_twice(acme: str) -> None:
    there = Modules({"hsm": ModuleSettings(acme)}, {})
    (found,) = taken(described("a", acme), there=there)
    assert found.plan is None
    assert found.skipped.endswith("is added already, as hsm.")
    first, second = taken(described("a", acme), described("b", acme))
    assert first.plan
    assert second.skipped.endswith("is added already, as a.")


def test_p11_kit_can_be_told_to_leave_it() -> None:
    commands = list(masked([Described("a", (), "", "")], {"HOME": "/home/me"}))
    assert commands[1].startswith("echo module: > ")
    assert commands[1].endswith("/pkcs11/modules/a.module")
