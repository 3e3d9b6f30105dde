"""Finding objects: by any attribute, exactly, and after every change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.doors.pkcs11 import house
from tests.doors.pkcs11.house import ListToken, pair, privates, secret

from keyholm.core.model import Key, Kind, Object, SecretType
from keyholm.core.store import Change, Event, Store
from keyholm.doors.pkcs11.objects import INDEXED, PROFILES, Shown, Untold
from keyholm.doors.pkcs11.view import View, Views, matches
from keyholm.testing.fakes import Clock, ListTrail, ScriptedPrompters, gate_over
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKK, CKO, CKP

TOKEN = ListToken()
KEYS = [
    *(pair(name, {CKA.ID: name.encode()}) for name in sorted(privates())),
    secret(SecretType.AES, 32, {CKA.LABEL: b"p256"}),
    secret(SecretType.GENERIC, 16),
]
CERTIFICATE = house.held_certificate(more={CKA.ID: b"p256", CKA.LABEL: b"cert"})
OTHERS = [
    CERTIFICATE,
    house.held(Kind.DATA, {CKA.VALUE: b"x", CKA.APPLICATION: b"app"}, "d1", private=True),
    house.held(
        Kind.PUBLIC,
        {CKA.PUBLIC_KEY_INFO: house.spki_of(privates()["rsa"].public_key()), CKA.ID: b"other"},
        "p1",
    ),
]
PROFILE_COUNT = len(PROFILES) + 1  # the certificate has its key


def everything() -> View:
    return View(TOKEN, [*KEYS, *OTHERS])


def names(found: list[Shown]) -> list[object]:
    return [shown.name for shown in found]


def by_walking(view: View, template: Template) -> list[object]:
    return [shown.name for shown in view.find(()) if matches(shown, template)]


def test_all_are_found_in_the_order_in_which_they_came() -> None:
    found = names(everything().find(()))
    pairs = len(privates())
    assert len(found) == 2 * pairs + 2 + len(OTHERS) + PROFILE_COUNT
    assert found[:2] == [
        ("disk", "main", "ed25519", CKO.PRIVATE_KEY),
        ("disk", "main", "ed25519", CKO.PUBLIC_KEY),
    ]


def test_every_attribute_of_every_object_finds_it() -> None:
    view = everything()
    for shown in view.find(()):
        for cka, value in shown.attributes():
            template: Any = ((cka, value),)
            found = names(view.find(template))
            assert shown.name in found
            assert found == by_walking(view, template), CKA.name(cka)
        whole: Any = tuple(shown.attributes())
        assert names(view.find(whole)) == [shown.name]


@pytest.mark.parametrize(
    "template",
    [
        ((CKA.ID, b"p256"),),
        ((CKA.ID, b"p256"), (CKA.CLASS, CKO.PRIVATE_KEY)),
        ((CKA.LABEL, b"p256"),),
        ((CKA.CLASS, CKO.CERTIFICATE), (CKA.VALUE, memoryview(bytearray(house.certificate())))),
        ((CKA.KEY_TYPE, CKK.EC), (CKA.CLASS, CKO.PUBLIC_KEY), (CKA.VERIFY, True)),
        ((CKA.CLASS, CKO.PROFILE), (CKA.PROFILE_ID, CKP.AUTHENTICATION_TOKEN)),
        ((CKA.SIGN, True), (CKA.TOKEN, True)),
    ],
)
def test_a_template_finds_what_has_all_of_it(template: Template) -> None:
    view = everything()
    found = names(view.find(template))
    assert found
    assert found == by_walking(view, template)


@pytest.mark.parametrize(
    "template",
    [
        ((CKA.TOKEN, False),),
        ((CKA.ID, b"nobody"),),
        ((CKA.ID, None),),
        ((CKA.CLASS, None), (CKA.ID, b"p256")),
        ((CKA.ID, b"p256"), (CKA.CLASS, CKO.DATA)),
        ((CKA.ID, b"p256"), (CKA.LABEL, b"p384")),
        ((CKA.VALUE, memoryview(bytearray(b"y"))),),
        ((CKA.MODULUS_BITS, 1024),),
        ((0x8000_0001, b"x"),),
        ((CKA.CLASS, b"\3"),),
        ((CKA.UNWRAP_TEMPLATE, ((CKA.SIGN, True),)),),
    ],
)
def test_a_template_that_nothing_has_finds_nothing(template: Template) -> None:
    assert everything().find(template) == []


def test_a_secret_is_not_found_by_its_value() -> None:
    view = View(TOKEN, [secret(SecretType.AES, 16, {CKA.SENSITIVE: False}, exportable=True)])
    assert view.find(((CKA.VALUE, bytes(16)),)) == []


@pytest.mark.parametrize("cka", sorted(INDEXED))
def test_a_search_by_what_is_indexed_does_not_walk(cka: int) -> None:
    view = everything()
    has = next(one for one in view.find(()) if not isinstance(one.value(cka), Untold))
    template: Any = ((cka, has.value(cka)), (CKA.MODIFIABLE, True))
    found, rest = view.candidates(template)
    assert rest == ((CKA.MODIFIABLE, True),)
    assert names(found) == by_walking(view, template[:1])


def test_the_smallest_bucket_is_looked_through() -> None:
    many = [pair("p256", {CKA.ID: b"%d" % number}, place=str(number)) for number in range(50)]
    view = View(TOKEN, many)
    for order in (1, -1):
        template = ((CKA.CLASS, CKO.PRIVATE_KEY), (CKA.ID, b"7"))[::order]
        assert len(view.candidates(template)[0]) == 2
        assert names(view.find(template)) == [("disk", "main", "7", CKO.PRIVATE_KEY)]


def test_an_object_is_got_by_its_name() -> None:
    view = everything()
    for shown in view.find(()):
        assert view.get(shown.name) is shown
    assert view.get(("disk", "main", "nothing", CKO.DATA)) is None
    assert view.get(("disk", "main", "p256", CKO.DATA)) is None


# --- changes -----------------------------------------------------------------------------


def test_a_change_is_seen_in_every_index() -> None:
    view = everything()
    for cka in INDEXED:
        view.find(((cka, b"?"),))
    key = KEYS[0]
    changed = replace(key, label="new", attributes={CKA.ID: b"new"})
    assert view.change(key, changed)
    assert view.find(((CKA.ID, b"ed25519"), (CKA.CLASS, CKO.PRIVATE_KEY))) == []
    assert len(view.find(((CKA.ID, b"new"), (CKA.LABEL, b"new")))) == 2
    assert view.change(changed, None)
    assert view.find(((CKA.ID, b"new"),)) == []
    assert view.find(((CKA.KEY_TYPE, CKK.EC_EDWARDS), (CKA.EC_PARAMS, b"?"))) == []


def test_what_was_not_shown_is_not_changed() -> None:
    view = everything()
    key = KEYS[0]
    assert not view.change(replace(key), None)  # as good, but another
    assert not view.change(None, replace(key))
    assert len(view.find(((CKA.ID, b"ed25519"),))) == 2


def test_what_has_no_form_in_pkcs11_comes_and_goes_unseen() -> None:
    view = View(TOKEN, [])
    odd = replace(KEYS[0], ssh=None, spki=b"?")
    assert view.change(None, odd)
    assert view.change(odd, None)
    assert len(view) == len(PROFILES)


def test_a_token_for_logins_has_a_certificate_with_its_key() -> None:
    def says() -> bool:
        return bool(view.find(((CKA.PROFILE_ID, CKP.AUTHENTICATION_TOKEN),)))

    key = pair("p256", {CKA.ID: b"p256"})
    view = View(TOKEN, [key])
    assert not says()
    view.change(None, CERTIFICATE)
    assert says()
    view.change(key, None)
    assert not says()
    view.change(None, key)
    assert says()
    other = replace(CERTIFICATE, attributes={CKA.VALUE: b"", CKA.ID: b"other"})
    view.change(CERTIFICATE, other)
    assert not says()


Held = Key | Object
PLACES = [f"o{number}" for number in range(12)]
SAMPLES: list[Callable[[str], Held]] = [
    lambda place: pair("p256", {CKA.ID: b"1"}, place=place),
    lambda place: pair("ed25519", {CKA.ID: b"2"}, {CKA.LABEL: b"a"}, place=place),
    lambda place: pair("rsa", {CKA.LABEL: b"a"}, None, place=place),
    lambda place: house.held(Kind.DATA, {CKA.VALUE: b"x", CKA.LABEL: b"a"}, place),
    lambda place: house.held_certificate(place, {CKA.ID: b"1"}),
]
SEARCHES: list[Template] = [
    ((CKA.ID, b"1"),),
    ((CKA.LABEL, b"a"), (CKA.CLASS, CKO.PUBLIC_KEY)),
    ((CKA.CLASS, CKO.PRIVATE_KEY),),
    ((CKA.CLASS, CKO.PROFILE),),
    ((CKA.VALUE, b"x"),),
]


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(PLACES), st.sampled_from([None, *SAMPLES])),
            st.sampled_from(SEARCHES),
        ),
        max_size=60,
    )
)
def test_after_any_changes_it_is_as_if_made_anew(steps: list[Any]) -> None:
    view, held = View(TOKEN, []), dict[str, Held]()
    for step in steps:
        if step in SEARCHES:
            view.find(step)
            continue
        place, make = step
        before, after = held.pop(place, None), make(place) if make else None
        if after is not None:
            held[place] = after
        assert view.change(before, after)
    fresh = View(TOKEN, held.values())
    for template in ((), *SEARCHES):
        assert sorted(map(str, names(view.find(template)))) == sorted(
            map(str, names(fresh.find(template)))
        )


# --- kept views --------------------------------------------------------------------------


class ListStore:
    """Contract fake of a store: one token, and events as a test tells them."""

    name = house.STORE

    def __init__(self, token: ListToken) -> None:
        self.token = token
        self.tell: Callable[[Event], None] = lambda event: None

    def tokens(self) -> list[Any]:
        return [self.token]

    def listen(self, listener: Callable[[Event], None]) -> None:
        self.tell = listener

    def close(self) -> None:
        pass


@pytest.fixture
def store() -> ListStore:
    return ListStore(ListToken(listed=list(KEYS)))


def views_of(store: ListStore, certificates: Path | None = None) -> Views:
    stores: list[Store] = [store]
    people = ScriptedPrompters()
    return Views(gate_over(stores, ListTrail(), people, Clock(), certificates=certificates))


def event(store: ListStore, change: Change, before: Any = None, after: Any = None) -> Event:
    return Event(store.name, store.token.name, change, before, after)


def test_a_view_is_kept_until_something_changes(store: ListStore) -> None:
    views = views_of(store)
    view = views.of(store.token)
    assert views.of(store.token) is view
    store.token.listed.pop()
    store.tell(event(store, Change.KEYS_CHANGED))
    again = views.of(store.token)
    assert again is not view
    assert len(again) == len(view) - 1


def test_a_change_of_one_object_keeps_the_view(store: ListStore) -> None:
    views = views_of(store)
    view = views.of(store.token)
    key = store.token.listed[0]
    store.token.listed[0] = changed = replace(key, label="new")
    store.tell(event(store, Change.KEYS_CHANGED, key, changed))
    assert views.of(store.token) is view
    assert len(view.find(((CKA.LABEL, b"new"),))) == 2


def test_changes_that_are_told_in_the_wrong_order_make_a_new_view(store: ListStore) -> None:
    views = views_of(store)
    view = views.of(store.token)
    first = store.token.listed[0]
    second, third = replace(first, label="second"), replace(first, label="third")
    store.token.listed[0] = third
    store.tell(event(store, Change.KEYS_CHANGED, second, third))
    store.tell(event(store, Change.KEYS_CHANGED, first, second))
    again = views.of(store.token)
    assert again is not view
    assert len(again.find(((CKA.LABEL, b"third"),))) == 2
    assert again.find(((CKA.LABEL, b"second"),)) == []


@pytest.mark.parametrize("change", [Change.LOCKED, Change.UNLOCKED, Change.TOKEN_WENT])
def test_a_token_that_opens_or_closes_is_looked_at_anew(store: ListStore, change: Change) -> None:
    views = views_of(store)
    view = views.of(store.token)
    store.tell(event(store, change))
    assert views.of(store.token) is not view


def test_other_tokens_keep_their_views(store: ListStore) -> None:
    views = views_of(store)
    view = views.of(store.token)
    store.tell(Event(store.name, "another", Change.KEYS_CHANGED))
    assert views.of(store.token) is view


def test_a_change_while_a_view_is_made_is_not_missed() -> None:
    class Busy(ListToken):
        """Loses its keys just when somebody has listed them."""

        def keys(self) -> list[Key]:
            found = list(self.listed)
            if self.listed:
                self.listed.clear()
                busy.tell(event(busy, Change.KEYS_CHANGED))
            return found

    busy = ListStore(Busy(listed=list(KEYS)))
    views = views_of(busy)
    assert len(views.of(busy.token)) > len(PROFILES)
    assert len(views.of(busy.token)) == len(PROFILES)


# --- certificates beside their keys --------------------------------------------------------

FIND_CERTIFICATES: Template = ((CKA.CLASS, CKO.CERTIFICATE),)


def put(directory: Path, key: Key, name: str = "mine", content: bytes = b"") -> None:
    folder = directory / key.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.der").write_bytes(content or house.certificate())


def test_a_certificate_beside_a_key_is_shown_with_it(tmp_path: Path) -> None:
    key = pair("p256", {CKA.ID: b"\1", CKA.LABEL: b"work"})
    put(tmp_path, key)
    put(tmp_path, pair("p384"))  # of another key: it is not believed
    store = ListStore(ListToken(listed=[key, pair("p384")]))
    view = views_of(store, tmp_path).of(store.token)
    [one] = view.find(FIND_CERTIFICATES)
    assert (one.value(CKA.ID), one.value(CKA.LABEL)) == (b"\1", b"work")
    assert one.value(CKA.VALUE) == house.certificate()
    assert not one.is_private
    for flag in (CKA.MODIFIABLE, CKA.DESTROYABLE):
        assert not one.flag(flag)
    assert one.flag(CKA.TOKEN)
    assert view.get(one.name) is one
    assert view.find(((CKA.PROFILE_ID, CKP.AUTHENTICATION_TOKEN),))


def test_one_that_the_token_has_itself_is_shown_once(tmp_path: Path) -> None:
    key = pair("p256")
    put(tmp_path, key)
    store = ListStore(ListToken(listed=[key], others=[CERTIFICATE]))
    assert len(views_of(store, tmp_path).of(store.token).find(FIND_CERTIFICATES)) == 1


def test_a_file_that_comes_makes_a_new_view(tmp_path: Path) -> None:
    key = pair("p256")
    store = ListStore(ListToken(listed=[key]))
    views = views_of(store, tmp_path)
    assert views.of(store.token).find(FIND_CERTIFICATES) == []
    put(tmp_path, key)
    views._certificates._look_again = 0.0  # a second later
    assert len(views.of(store.token).find(FIND_CERTIFICATES)) == 1


def test_a_key_that_comes_brings_its_certificate(tmp_path: Path) -> None:
    key = pair("p256")
    put(tmp_path, key)
    store = ListStore(ListToken())
    views = views_of(store, tmp_path)
    assert views.of(store.token).find(FIND_CERTIFICATES) == []
    store.token.listed.append(key)
    store.tell(event(store, Change.KEYS_CHANGED, None, key))
    assert len(views.of(store.token).find(FIND_CERTIFICATES)) == 1
