"""All objects of a token, found by their attributes without walking all of them.

A view is made when somebody first looks, and kept: a change of one object changes its entries.
An index is made when somebody first searches by its attribute. A search takes the smallest
bucket that its template names and checks the rest of the template there.

What is private is in it: whoever asks leaves out what its program may not see (`is_private`).
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, TypeGuard

from keyholm.core.gate import Gate
from keyholm.core.model import Key, Kind, Object
from keyholm.core.store import Change, Event, HoldsObjects, Token
from keyholm.doors.pkcs11 import objects, showing
from keyholm.doors.pkcs11.objects import INDEXED, Shown, Untold
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKO, CKP

SMALL: Final = 8  # objects of a bucket that is a tuple; larger ones are dicts

# In the order in which they came. A tuple takes a third of the memory of a dict, and most
# buckets hold a key pair and its certificate.
Bucket = tuple[Shown, ...] | dict[Shown, None]
Index = dict[object, Bucket]


def matches(shown: Shown, template: Template) -> bool:
    """Whether it has every attribute of the template, with that value."""
    return all(value is not None and shown.value(cka) == value for cka, value in template)


class View:
    def __init__(self, token: Token, held: Iterable[Key | Object]) -> None:
        self.token = token
        self._lock = threading.Lock()
        self._groups: dict[str, tuple[Shown, ...]] = {}
        self._indexes: dict[int, Index] = {}
        self._certificates: dict[str, Shown] = {}
        self._is_for_logins = False
        for each in held:
            self._put(each.place.object, showing.shown(token, each))
        for number in objects.PROFILES:
            profile = objects.profile(token, number)
            self._put(profile.name[2], (profile,))
        self._say_whether_for_logins()

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def get(self, name: tuple[str, str, str, int]) -> Shown | None:
        """The object of that `Shown.name`, as it is now."""
        group = self._groups.get(name[2], ())
        return next((shown for shown in group if shown.cko == name[3]), None)

    # --- searching -----------------------------------------------------------------------

    def find(self, template: Template) -> list[Shown]:
        """All that match, in the order in which they came."""
        found, rest = self.candidates(template)
        return [shown for shown in found if matches(shown, rest)] if rest else found

    def candidates(self, template: Template) -> tuple[list[Shown], Template]:
        """What an index finds at once, and what is to be checked of each."""
        wanted = [each for each in template if each != (CKA.TOKEN, True)]  # all of them are
        smallest: Bucket | None = None
        by = -1
        with self._lock:
            for cka, value in wanted:
                if cka in INDEXED and value is not None:
                    bucket = self._index(cka).get(_indexed(cka, value), ())
                    if smallest is None or len(bucket) < len(smallest):
                        smallest, by = bucket, cka
            everything = chain.from_iterable(self._groups.values())
            found = list(everything if smallest is None else smallest)
        return found, tuple(each for each in wanted if each[0] != by)

    def _index(self, cka: int) -> Index:
        index = self._indexes.get(cka)
        if index is None:
            index = {}
            for shown in chain.from_iterable(self._groups.values()):
                _add(index, cka, shown)
            self._indexes[cka] = index
        return index

    # --- changing ------------------------------------------------------------------------

    def change(self, before: Key | Object | None, after: Key | Object | None) -> bool:
        """Show `after` instead of `before`; False where it was not `before` that was shown."""
        one = before or after
        if one is None:
            return True
        place = one.place.object
        with self._lock:
            gone = self._groups.get(place, ())
            if any(shown.held is not before for shown in gone):
                return False
            come = showing.shown(self.token, after) if after is not None else ()
            self._drop(place)
            self._put(place, come)
            if any(each.cko in _PAIRED for each in (*gone, *come)):
                self._say_whether_for_logins()
        return True

    def _put(self, place: str, group: tuple[Shown, ...]) -> None:
        if not group:
            return  # PKCS#11 has no words for it
        self._groups[place] = group
        if group[0].cko == CKO.CERTIFICATE:
            self._certificates[place] = group[0]
        for cka, index in self._indexes.items():
            for shown in group:
                _add(index, cka, shown)

    def _drop(self, place: str) -> None:
        self._certificates.pop(place, None)
        group = self._groups.pop(place, ())
        for cka, index in self._indexes.items():
            for shown in group:
                _remove(index, cka, shown)

    def _say_whether_for_logins(self) -> None:
        """A token for logins has a certificate with its private key."""
        is_for_logins = self._has_pair()
        if is_for_logins == self._is_for_logins:
            return
        self._is_for_logins = is_for_logins
        profile = objects.profile(self.token, CKP.AUTHENTICATION_TOKEN)
        self._drop(profile.name[2])
        if is_for_logins:
            self._put(profile.name[2], (profile,))

    def _has_pair(self) -> bool:
        if not self._certificates:
            return False
        ids = self._index(CKA.ID)
        return any(
            other.cko == CKO.PRIVATE_KEY
            for certificate in self._certificates.values()
            for other in ids.get(certificate.value(CKA.ID), ())
        )


_PAIRED: Final = frozenset({CKO.CERTIFICATE, CKO.PRIVATE_KEY})


def _indexed(cka: int, value: object) -> object:
    """What stands for a value in an index. Of CKA_VALUE its hash: what is searched for may be a
    secret in a frame that is wiped, and a certificate is long."""
    if cka == CKA.VALUE and isinstance(value, bytes | memoryview):
        return hashlib.sha256(value).digest()
    return value


def _add(index: Index, cka: int, shown: Shown) -> None:
    told = shown.value(cka)
    if isinstance(told, Untold):
        return
    value = _indexed(cka, told)
    bucket = index.get(value)
    if bucket is None:
        index[value] = (shown,)
    elif _is_large(bucket):
        bucket[shown] = None
    elif len(bucket) < SMALL:
        index[value] = (*bucket, shown)
    else:
        index[value] = dict.fromkeys((*bucket, shown))


def _remove(index: Index, cka: int, shown: Shown) -> None:
    told = shown.value(cka)
    if isinstance(told, Untold):
        return
    value = _indexed(cka, told)
    bucket = index.get(value, ())
    if _is_large(bucket):
        bucket.pop(shown, None)
        left: Bucket = bucket
    else:
        left = index[value] = tuple(each for each in bucket if each is not shown)
    if not left:
        del index[value]


def _is_large(bucket: Bucket) -> TypeGuard[dict[Shown, None]]:
    return type(bucket) is dict


class Views:
    """A view of each token that somebody looked at, as it is now."""

    def __init__(self, gate: Gate) -> None:
        self._inventory, self._certificates = gate.inventory, gate.certificates
        self._lock = threading.Lock()
        self.changes = 0  # as long as it stays, what was looked up is still so
        # With the folders of certificates as they were then.
        self._views: dict[tuple[str, str], tuple[View, frozenset[str]]] = {}
        self._inventory.listen(self._heard)

    def of(self, token: Token) -> View:
        place = (token.store, token.name)
        folders = self._certificates.folders()
        kept = self._views.get(place)
        if kept is not None and kept[0].token is token and kept[1] is folders:
            return kept[0]
        with self._lock:
            changes = self.changes
        view = View(token, self._held(token, folders))
        with self._lock:
            if self.changes == changes:  # else something changed meanwhile: keep nothing
                self._views[place] = view, folders
        return view

    def _held(self, token: Token, folders: frozenset[str]) -> Iterable[Key | Object]:
        keys = self._inventory.snapshot(token).keys
        own = token.objects() if isinstance(token, HoldsObjects) else ()
        beside = self._beside(keys, own, folders) if folders else ()
        return chain(keys, own, beside)

    def _beside(
        self, keys: Sequence[Key], own: Sequence[Object], folders: frozenset[str]
    ) -> Iterable[Object]:
        """Certificates in files beside their keys, but those that the token has itself."""
        known = {held.attributes.get(CKA.VALUE) for held in own if held.kind is Kind.CERTIFICATE}
        for key in keys:
            if key.id not in folders:
                continue
            for certificate in self._certificates.x509_of(key):
                if certificate.blob not in known:
                    yield objects.beside(key, certificate)

    def _heard(self, event: Event) -> None:
        place = (event.store, event.token)
        with self._lock:
            kept = self._views.get(place)
            if kept is not None and not self._follows(kept[0], kept[1], event):
                del self._views[place]
            # Last: who took the number first and then looked too early will look again.
            self.changes += 1

    def _follows(self, view: View, folders: frozenset[str], event: Event) -> bool:
        """Whether the view could be changed by what is told. Two changes of one object may be
        told in either order, so what is not what was shown until now makes a new view."""
        before, after = event.before, event.after
        if event.change not in _OF_ONE or (before is None and after is None):
            return False
        if any(isinstance(key, Key) and key.id in folders for key in (before, after)):
            return False  # its certificates come and go with it
        return view.change(before, after)


_OF_ONE: Final = frozenset({Change.KEYS_CHANGED, Change.OBJECTS_CHANGED})
