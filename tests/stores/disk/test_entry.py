"""A key's file: nothing in it can be changed or taken from another one."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from keyholm.core.errors import StoreDamaged
from keyholm.core.model import Algorithm, Origin
from keyholm.core.policy import Confirm, Policy, write
from keyholm.core.secret import Secret
from keyholm.stores.disk import entry
from keyholm.stores.disk.entry import Facts, Head
from keyholm.stores.software import keys as software
from keyholm.stores.software.plain import plain_form
from keyholm.wire.ssh import keys

PATH = Path("the file")
WRAPPING = Secret.random(32)
PRIVATE = software.generate(Algorithm.ED25519)
OTHER = keys.Ed25519(bytes(range(32)))
FACTS = Facts(
    keys.key_id(PRIVATE.public),
    keys.type_name(PRIVATE.public),
    keys.encode(PRIVATE.public),
    "a key",
    Origin.GENERATED,
    False,
    1.5,
    1,
    "",
)
HEAD = Head("store", "token", "0123456789abcdef", 3, FACTS)


def facts(**changes: object) -> Head:
    changed = msgspec.structs.replace(FACTS, **changes)
    return msgspec.structs.replace(HEAD, key=changed)


OTHER_HEADS = {
    "store": msgspec.structs.replace(HEAD, store="other"),
    "token": msgspec.structs.replace(HEAD, token="other"),
    "object": msgspec.structs.replace(HEAD, object="f123456789abcdef"),
    "generation": msgspec.structs.replace(HEAD, generation=4),
    "public": facts(id=keys.key_id(OTHER), public=keys.encode(OTHER)),
    "label": facts(label="another"),
    "origin": facts(origin=Origin.IMPORTED),
    "exportable": facts(exportable=True),
    "created": facts(created=2.5),
    "order": facts(order=2),
    "policy": facts(policy=write(Policy(confirm=Confirm(asked=True)))),
    "provider": facts(provider="/usr/lib/sk.so"),
}


def encoded(head: Head = HEAD, wrapping: Secret = WRAPPING) -> bytes:
    with plain_form(PRIVATE) as plain:
        return entry.encode(head, plain.view, wrapping)


def test_what_we_write_we_read() -> None:
    head, private = entry.decode(encoded(), WRAPPING, PATH)
    with private, plain_form(PRIVATE) as plain:
        assert (head, bytes(private.view)) == (HEAD, bytes(plain.view))


def test_no_two_files_of_one_key_are_alike() -> None:
    """A fresh data key and fresh nonces at each write."""
    one, other = encoded(), encoded()
    _, _, first = one.partition(b"\n")
    _, _, second = other.partition(b"\n")

    assert first != second
    assert not {first[at : at + 12] for at in range(0, 80, 12)} & {
        second[at : at + 12] for at in range(0, 80, 12)
    }


def test_the_private_half_is_not_in_the_file() -> None:
    with plain_form(PRIVATE) as plain:
        secret = bytes(plain.view)[-68:-36]
    assert len(secret) == 32
    assert secret not in encoded()


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_each_fact_is_bound_to_the_private_half(name: str) -> None:
    _, _, sealed = encoded().partition(b"\n")
    line = msgspec.json.encode(OTHER_HEADS[name]) + b"\n"

    with pytest.raises(StoreDamaged, match="was altered"):
        entry.decode(line + sealed, WRAPPING, PATH)


def test_the_same_facts_in_other_words_are_refused() -> None:
    line, _, sealed = encoded().partition(b"\n")
    for other in (line.replace(b":", b": ", 1), line + b" "):
        with pytest.raises(StoreDamaged, match="was altered"):
            entry.decode(other + b"\n" + sealed, WRAPPING, PATH)


def test_another_wrapping_key_opens_nothing() -> None:
    with Secret.random(32) as other, pytest.raises(StoreDamaged):
        entry.decode(encoded(), other, PATH)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: b"\n",
        lambda content: content[: content.index(b"\n")],
        lambda content: content[: content.index(b"\n") + 1],
        lambda content: content[: content.index(b"\n") + 88],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"[" * 100_000 + b"\n",
        lambda content: content.replace(b'"format":1', b'"format":2'),
        lambda content: content.replace(b"keyholm-key", b"keyholm-kez"),
        lambda content: content.replace(b'"order":1', b'"order":1,"more":1'),
        lambda content: content.replace(b'"order":1', b'"order":1.5'),
        lambda content: content.replace(b'"policy":""', b'"policy":"nonsense = 1"'),
        lambda content: content.replace(b"a key", b"\xff key"),
    ],
)
def test_what_is_no_entry_is_refused_by_name(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StoreDamaged, match="the file was altered"):
        entry.decode(change(encoded()), WRAPPING, PATH)


@pytest.mark.parametrize("changes", [{"id": "0" * 64}, {"type": "ssh-rsa"}, {"public": b"no key"}])
def test_facts_that_do_not_fit_each_other_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StoreDamaged):
        entry.decode(encoded(facts(**changes)), WRAPPING, PATH)
