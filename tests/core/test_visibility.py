"""Who sees what: rules by program and door, and those that are shipped."""

import os
from pathlib import Path

import pytest
from tests.doors.pkcs11.house import pair, privates

from keyholm.core.algorithms import KNOWN, algorithm_of
from keyholm.core.caller import Caller, Door, Executable, Peer, Process
from keyholm.core.model import Attributes, Key, KeyId, Kind, Object, Origin, Place
from keyholm.core.visibility import SHIPPED, Rule, Selection, Sight, Visibility
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.ssh import keys

PEER = Peer(os.getuid(), os.getgid(), 1)
NO_ATTRIBUTES: Attributes = {}


def caller(
    path: str = "", door: Door = Door.PKCS11, *, relayed: bool = False, parent: str = ""
) -> Caller:
    program = Executable(path, 1, 2, trusted=True, interpreter=False) if path else None
    parents = (parent,) if parent else ()
    process = Process(1, 1, executable=program, parents=parents)
    return Caller(door, PEER, lambda: process, relayed=relayed)


def nobody_looks(door: Door) -> Caller:
    def fail() -> Process:
        raise AssertionError("it was asked who calls")

    return Caller(door, PEER, fail)


def key(
    name: str = "laptop", place: str = "disk/main/1", public: keys.PublicKey | None = None
) -> Key:
    public = public or keys.Ed25519(bytes(32))
    where = Place(*place.split("/"))
    return Key(KeyId("0" * 64), where, public, keys.encode(public), name, Origin.GENERATED)


ED25519, RSA = key("ed"), key("rsa", public=keys.Rsa(65537, (1 << 2047) + 1))
CERTIFICATE = Object(Place("disk", "main", "2"), Kind.CERTIFICATE, {CKA.LABEL: b"mine"})


def shown(sight: Sight | None, *held: Key | Object) -> list[bool]:
    return [sight is None or sight.shows(each) for each in held]


# --- what is shipped -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/usr/bin/openssl", "/opt/nginx", "/usr/sbin/nginx (deleted)"])
def test_programs_with_libp11_see_no_key_that_it_crashes_on(path: str) -> None:
    sight = Visibility().of(caller(path))
    assert shown(sight, ED25519, RSA, CERTIFICATE) == [False, True, True]


def test_every_other_program_sees_everything() -> None:
    assert Visibility().of(caller("/usr/bin/ssh")) is None
    assert Visibility().of(caller("")) is None
    assert Visibility().of(caller("/usr/bin/openssl.old")) is None


def test_the_shipped_rules_are_for_pkcs11_alone_and_the_agent_looks_nobody_up() -> None:
    assert Visibility().of(nobody_looks(Door.AGENT)) is None
    assert Visibility().of(nobody_looks(Door.CONTROL)) is None


@pytest.mark.parametrize("name", sorted(privates()))
def test_libp11_sees_rsa_and_ecdsa_alone(name: str) -> None:
    held = pair(name)
    sight = Visibility().of(caller("/usr/bin/openssl"))
    assert sight is not None
    assert sight.shows(held) == algorithm_of(held).startswith(("rsa-", "ecdsa-", "secp256k1"))


def test_behind_a_relay_it_is_the_program_that_started_it() -> None:
    rules = Visibility(
        [Rule(("dnssec-keyfromlabel", "/usr/bin/other"), hide=Selection(names=("*",)))]
    )
    python = "/usr/bin/python3.11"
    assert rules.of(caller(python, relayed=True, parent="dnssec-keyfroml")) is not None
    assert rules.of(caller(python, relayed=True, parent="other")) is not None
    assert rules.of(caller(python, relayed=True, parent="bash")) is None
    assert rules.of(caller(python, parent="other")) is None


# --- one's own -----------------------------------------------------------------------


def test_a_shipped_rule_gives_way_to_one_that_names_the_program() -> None:
    rules = Visibility([Rule(("openssl",))])
    assert rules.of(caller("/usr/bin/openssl")) is None
    assert rules.of(caller("/usr/sbin/nginx")) is not None


def test_a_rule_for_every_program_adds_to_what_is_shipped() -> None:
    rules = Visibility([Rule(hide=Selection(names=("r*",)))])
    assert shown(rules.of(caller("/usr/bin/openssl")), ED25519, RSA) == [False, False]
    assert shown(rules.of(caller("/usr/bin/ssh")), ED25519, RSA) == [True, False]


def test_a_rule_without_a_program_looks_nobody_up() -> None:
    rules = Visibility([Rule(door=Door.AGENT, hide=Selection(names=("*",)))])
    assert shown(rules.of(nobody_looks(Door.AGENT)), ED25519) == [False]


def test_rules_are_of_their_door() -> None:
    rules = Visibility([Rule(("ssh",), Door.AGENT, hide=Selection(names=("ed",)))])
    assert shown(rules.of(caller("/usr/bin/ssh", Door.AGENT)), ED25519, RSA) == [False, True]
    assert rules.of(caller("/usr/bin/ssh", Door.PKCS11)) is None


def test_rules_of_one_program_add_up() -> None:
    hide = [Rule(("a",), hide=Selection(names=(name,))) for name in ("ed", "rsa")]
    assert shown(Visibility(hide).of(caller("/bin/a")), ED25519, RSA) == [False, False]


def test_a_path_is_that_program_and_no_other_of_its_name() -> None:
    rules = Visibility([Rule(("/usr/bin/ssh",), hide=Selection(names=("*",)))])
    assert rules.of(caller("/usr/bin/ssh")) is not None
    assert rules.of(caller("/opt/bin/ssh")) is None


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (Selection(algorithms=("ed25519",)), [True, False, False]),
        (Selection(algorithms=("rsa-*", "certificate")), [False, True, True]),
        (Selection(tokens=("disk/*",)), [True, True, True]),
        (Selection(tokens=("memory/*",)), [False, False, False]),
        (Selection(names=("??", "m*")), [True, False, True]),
        (Selection(kinds=("certificate",)), [False, False, True]),
        (Selection(kinds=("private",), names=("rsa",)), [False, True, False]),
        (Selection(algorithms=("ed25519",), names=("rsa",)), [False, False, False]),
    ],
)
def test_what_is_selected_is_hidden_or_all_that_is_shown(
    selection: Selection, selected: list[bool]
) -> None:
    held = (ED25519, RSA, CERTIFICATE)
    hidden = Visibility([Rule(("a",), hide=selection)], ()).of(caller("/a"))
    only = Visibility([Rule(("a",), only=selection)], ()).of(caller("/a"))
    assert shown(only, *held) == selected
    assert shown(hidden, *held) == [not each for each in selected]


def test_a_caller_that_is_connected_sees_what_the_newest_rules_say() -> None:
    rules, one = Visibility(), caller("/usr/bin/ssh")
    assert rules.of(one) is None
    rules.use([Rule(("ssh",), hide=Selection(names=("*",)))])
    assert rules.of(one) is not None
    rules.use([])
    assert rules.of(one) is None


def test_programs_that_see_the_same_have_the_same_sight() -> None:
    rules = Visibility()
    first, second = rules.of(caller("/usr/bin/openssl")), rules.of(caller("/usr/sbin/nginx"))
    assert first == second
    assert hash(first) == hash(second)


# --- what keys are called ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(privates()))
def test_every_kind_of_key_has_a_name(name: str) -> None:
    held = pair(name)
    found = algorithm_of(held)
    assert found in KNOWN or found.startswith("rsa-")
    alone = Object(
        held.place, Kind.PUBLIC, {CKA.PUBLIC_KEY_INFO: held.spki or keys.spki(held.public) or b""}
    )
    assert algorithm_of(alone) == found


def test_what_is_no_public_key_is_called_by_its_kind() -> None:
    broken = Object(Place("disk", "main", "1"), Kind.PUBLIC, {CKA.PUBLIC_KEY_INFO: b"\x30"})
    assert algorithm_of(broken) == "public"
    assert algorithm_of(Object(broken.place, Kind.DATA, NO_ATTRIBUTES)) == "data"


def test_what_is_shipped_names_kinds_of_keys_that_there_are() -> None:
    for rule in SHIPPED:
        assert rule.hide is not None
        assert all(pattern in KNOWN or "*" in pattern for pattern in rule.hide.algorithms)


def test_what_is_shipped_is_in_the_documentation() -> None:
    text = Path(__file__).parents[2].joinpath("docs/programs.md").read_text()
    for rule in SHIPPED:
        assert " ".join(f"`{program}`" for program in rule.programs) in text


# --- of modules ----------------------------------------------------------------------


def test_a_rule_can_be_about_every_program_but_some() -> None:
    visibility = Visibility()
    on_card = key("card", "modules/card-work-1/1")
    hidden = Selection(tokens=("modules/card-*",), but_tokens=("modules/card-2-*",))
    visibility.use((), (Rule(others_than=("firefox",), hide=hidden),))
    other = key("other", "modules/card-2-work-1/1")
    assert shown(visibility.of(caller("/usr/bin/firefox")), on_card, other) == [True, True]
    for path in ("/usr/bin/ssh", ""):
        assert shown(visibility.of(caller(path)), on_card, other) == [False, True]


def test_what_modules_say_stands_instead_of_no_other_rule() -> None:
    visibility = Visibility()
    visibility.use((), (Rule(("openssl",), hide=Selection(tokens=("modules/card-*",))),))
    sight = visibility.of(caller("/usr/bin/openssl"))
    assert shown(sight, ED25519, RSA, key("card", "modules/card-work-1/1")) == [False, True, False]
    assert shown(visibility.of(caller("/usr/bin/ssh")), key("card", "modules/card-a-1/1")) == [True]
