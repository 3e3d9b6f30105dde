"""What is on a token, as the core has it: keys of both halves, certificates, data.

A token shows objects; which of them are one key is found out here: by the public key itself,
where both tell it, else by CKA_ID. While nobody is logged in, private keys do not show, so what
public keys and certificates tell of is listed as keys, unverified, until a login shows them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from msgspec.structs import replace

from keyholm.core.model import (
    Attributes,
    Key,
    KeyId,
    Kind,
    Object,
    Origin,
    Place,
    SecretKey,
    SecretType,
    Value,
)
from keyholm.core.policy import OPEN, Policy
from keyholm.cryptoki import forms
from keyholm.cryptoki.secrets import TYPES
from keyholm.stores.modules import public
from keyholm.stores.modules.reading import Seen
from keyholm.stores.modules.ways import Shape
from keyholm.wire.pkcs11.constants import CK, CKA, CKO
from keyholm.wire.ssh import keys

STORE: Final = "modules"
NAME_SIZE: Final = 16  # characters of a hash
NOTHING: Final[Mapping[int, "Known"]] = {}
_KINDS: Final = {
    CKO.PUBLIC_KEY: Kind.PUBLIC,
    CKO.CERTIFICATE: Kind.CERTIFICATE,
    CKO.DATA: Kind.DATA,
}


@dataclass(slots=True, eq=False)
class Entry:
    """`handle` and `public` (of the public half) hold in one generation of the worker only;
    0: the object does not show now."""

    held: Key | Object
    handle: int
    public: int = 0
    key_type: int = CK.UNAVAILABLE_INFORMATION
    always_authenticate: bool = False
    private: bool = False
    proven: bool = True  # the public half is told by the key itself, or a signature showed it
    shape: Shape | None = None  # once somebody wanted to know
    policy: Policy = OPEN  # of a key that a session made; all others have theirs elsewhere

    @property
    def name(self) -> str:
        return self.held.place.object

    @property
    def key(self) -> Key | None:
        return self.held if isinstance(self.held, Key) else None

    def follow(self, former: "Entry") -> None:
        """What was known of it stays known: that it was seen whole, and, if nothing is new, the
        very value that decisions were made about."""
        known, now = former.held, self.held
        if isinstance(known, Key) and isinstance(now, Key) and known.verified > now.verified:
            self.held, self.key_type = known, former.key_type
            self.always_authenticate = former.always_authenticate
            return
        self.held = replace(now, order=known.order)
        if self.held == known:
            self.held = known


@dataclass(frozen=True, slots=True)
class Known:
    """What we know of an object that it may not tell itself."""

    name: str = ""  # that it had the last time
    spki: bytes = b""
    size: int = 0  # of a secret key
    proven: bool = False  # that it is of this public half
    alone: bool = False  # a public key that has no private half, as was seen after a login


_UNKNOWN: Final = Known()


@dataclass(frozen=True, slots=True)
class Whose:
    """The token that all of it is on. `hidden`: private objects do not show now."""

    token: str
    serial: str
    hidden: bool


def gather(
    objects: Sequence[Seen],
    whose: Whose,
    policy_hash: Callable[[KeyId], str],
    *,
    known: Mapping[int, Known] = NOTHING,
    taken: Collection[str] = (),
) -> list[Entry]:
    """`known` by handle; `taken` are names of what is elsewhere."""
    found = _Gathering(objects, whose, known, taken).entries()
    orders = count(1)
    for entry in found:
        held = replace(entry.held, order=next(orders))
        if isinstance(held, Key):
            held = replace(held, policy_hash=policy_hash(held.id))
        entry.held = held
    return found


class _Gathering:
    def __init__(
        self,
        objects: Sequence[Seen],
        whose: Whose,
        known: Mapping[int, Known],
        taken: Collection[str],
    ) -> None:
        self._whose, self._known = whose, known
        here = (known[each.handle].name for each in objects if each.handle in known)
        self._taken = {*taken, *here}
        self._halves: set[int] = set()  # public keys that belong to a private one
        self._of_class: dict[int, list[Seen]] = defaultdict(list)
        for each in objects:
            self._of_class[each.cko].append(each)
        self._spkis = {
            each.handle: self._known_of(each).spki or _spki(each)
            for each in objects
            if each.cko in _WITH_SPKI
        }
        self._publics = _by_spki(self._of_class[CKO.PUBLIC_KEY], self._spkis)
        self._objects = objects

    def entries(self) -> list[Entry]:
        keys_ = {each.handle: self._private(each) for each in self._of_class[CKO.PRIVATE_KEY]}
        found: list[Entry] = []
        for each in self._objects:
            match each.cko:
                case CKO.PRIVATE_KEY:
                    found.append(keys_[each.handle])
                case CKO.SECRET_KEY:
                    found.append(self._secret(each))
                case CKO.PUBLIC_KEY if each.handle not in self._halves:
                    found += self._lone(each)
                case CKO.PUBLIC_KEY:
                    pass
                case _:
                    found.append(self._object(each))
        if self._whose.hidden:
            found += self._told_of_by_certificates(found)
        return found

    def _known_of(self, each: Seen) -> Known:
        return self._known.get(each.handle, _UNKNOWN)

    # --- keys --------------------------------------------------------------------------

    def _private(self, each: Seen) -> Entry:
        spki = self._spkis.get(each.handle) or self._spki_beside(each)
        half = self._half_of(each, spki)
        if half is not None:
            self._halves.add(half.handle)
        key = self._pair(each, spki, None if half is None else dict(half.told))
        return Entry(
            key,
            each.handle,
            0 if half is None else half.handle,
            _key_type(each),
            each.flag(CKA.ALWAYS_AUTHENTICATE, False),
            each.flag(CKA.PRIVATE, True),
            proven=not spki or self._known_of(each).proven or bool(public.spki_of(each.told)),
        )

    def _half_of(self, each: Seen, spki: bytes) -> Seen | None:
        same = self._publics.get(spki, ()) if spki else ()
        by_id = [other for other in same if other.octets(CKA.ID) == each.octets(CKA.ID)]
        return next((o for o in (*by_id, *same) if o.handle not in self._halves), None)

    def _spki_beside(self, each: Seen) -> bytes:
        """Of a private key that tells nothing of itself: what has the same CKA_ID tells, if only
        one has it that could be its half."""
        same = [
            other
            for cko in (CKO.PUBLIC_KEY, CKO.CERTIFICATE)
            for other in self._of_class[cko]
            if other.octets(CKA.ID) == each.octets(CKA.ID) and self._could_be(each, other)
        ]
        same = [o for o in same if o.octets(CKA.LABEL) == each.octets(CKA.LABEL)] or same
        found = {self._spkis[other.handle] for other in same}
        return found.pop() if len(found) == 1 and each.octets(CKA.ID) else b""

    def _could_be(self, each: Seen, other: Seen) -> bool:
        spki = self._spkis[other.handle]
        if not spki:
            return False
        form = forms.form_of_spki(spki)
        if form is None:
            return _key_type(each) == _key_type(other)
        curve = each.told.get(CKA.EC_PARAMS)
        if isinstance(curve, bytes):
            return public.form_of_curve(_key_type(each), curve) is form
        return form.key_type == _key_type(each)

    def _pair(self, each: Seen, spki: bytes, half: Attributes | None) -> Key:
        told = each.told
        ssh = public.ssh_of(spki) if spki else None
        return Key(
            public.key_id(spki) if spki else self._id_of(each),
            self._place(each, spki or _named(each)),
            ssh,
            keys.encode(ssh) if ssh is not None else b"",
            _label(told),
            Origin.GENERATED if told.get(CKA.LOCAL) is True else Origin.IMPORTED,
            exportable=told.get(CKA.EXTRACTABLE) is True,
            spki=spki if ssh is None else b"",
            attributes=dict(told),
            public_attributes=half,
        )

    def _secret(self, each: Seen) -> Entry:
        told, key_type = each.told, _key_type(each)
        told_size = told.get(CKA.VALUE_LEN)
        kind = TYPES.get(key_type, SecretType.GENERIC)
        size = told_size if isinstance(told_size, int) else 0
        size = size or self._known_of(each).size or _usual_size(kind)
        key = Key(
            self._id_of(each),
            self._place(each, _named(each)),
            None,
            b"",
            _label(told),
            Origin.GENERATED if told.get(CKA.LOCAL) is True else Origin.IMPORTED,
            exportable=told.get(CKA.EXTRACTABLE) is True,
            kind=Kind.SECRET,
            attributes=dict(told),
            public_attributes=None,
            secret=SecretKey(kind, size),
        )
        return Entry(key, each.handle, key_type=key_type, private=each.flag(CKA.PRIVATE, True))

    def _id_of(self, each: Seen) -> KeyId:
        """Of what has no public key: CKA_UNIQUE_ID where there is one, else what names it."""
        known = each.octets(CKA.UNIQUE_ID) or each.octets(CKA.ID) or each.octets(CKA.LABEL)
        text = b"\0".join((self._whose.serial.encode(), str(each.cko).encode(), known))
        return KeyId(hashlib.sha256(text).hexdigest())

    # --- what is no key, or not known to be one ----------------------------------------

    def _lone(self, each: Seen) -> list[Entry]:
        spki = self._spkis[each.handle]
        if not self._whose.hidden or not spki or self._known_of(each).alone:
            return [self._object(each)]
        if any(self._spkis.get(p.handle) == spki for p in self._of_class[CKO.PRIVATE_KEY]):
            return []
        told = {
            cka: each.told[cka]
            for cka in (CKA.ID, CKA.LABEL, CKA.SUBJECT, CKA.LOCAL)
            if cka in each.told
        }
        key = self._pair(each._replace(told=told), spki, dict(each.told))
        entry = Entry(replace(key, verified=False), 0, each.handle, _key_type(each), private=True)
        return [entry]

    def _told_of_by_certificates(self, found: Iterable[Entry]) -> list[Entry]:
        """Tokens such as NSS's show certificates and nothing else before a login."""
        known = {entry.key.id for entry in found if entry.key is not None}
        more: list[Entry] = []
        for each in self._of_class[CKO.CERTIFICATE]:
            spki = self._spkis[each.handle]
            if not spki or not each.octets(CKA.ID) or not _may_have_key(each):
                continue
            if public.key_id(spki) not in known:
                known.add(public.key_id(spki))
                told = {cka: each.told[cka] for cka in (CKA.ID, CKA.LABEL) if cka in each.told}
                key = self._pair(each._replace(told=told), spki, None)
                more.append(Entry(replace(key, verified=False), 0, private=True))
        return more

    def _object(self, each: Seen) -> Entry:
        private = each.flag(CKA.PRIVATE, False)
        attributes: dict[int, Value] = dict(each.told)
        if each.cko not in _KINDS:
            attributes[CKA.CLASS] = each.cko
        spki = self._spkis.get(each.handle)
        if each.cko == CKO.PUBLIC_KEY and spki:
            attributes[CKA.PUBLIC_KEY_INFO] = spki
        place = self._place(each, b"\0".join((str(each.cko).encode(), spki or _named(each))))
        held = Object(place, _KINDS.get(each.cko, Kind.OTHER), attributes, private=private)
        return Entry(held, each.handle, key_type=_key_type(each), private=private)

    def _place(self, each: Seen, what: bytes) -> Place:
        """The same name for the same thing, whenever it is looked at."""
        if known := self._known_of(each).name:
            return Place(STORE, self._whose.token, known)
        plain = name = hashlib.sha256(what).hexdigest()[:NAME_SIZE]
        for number in count(2):
            if name not in self._taken:
                break
            name = f"{plain}-{number}"
        self._taken.add(name)
        return Place(STORE, self._whose.token, name)


_WITH_SPKI: Final = frozenset({CKO.PRIVATE_KEY, CKO.PUBLIC_KEY, CKO.CERTIFICATE})


def _spki(each: Seen) -> bytes:
    if each.cko == CKO.CERTIFICATE:
        return public.spki_of_certificate(each.octets(CKA.VALUE))
    return public.spki_of(each.told)


def _by_spki(objects: Iterable[Seen], spkis: Mapping[int, bytes]) -> dict[bytes, list[Seen]]:
    found: dict[bytes, list[Seen]] = defaultdict(list)
    for each in objects:
        found[spkis[each.handle]].append(each)
    return found


def _named(each: Seen) -> bytes:
    """What tells it from others of its class, where it has no public key."""
    unique = each.octets(CKA.UNIQUE_ID)
    if unique:
        return unique
    if each.cko in (CKO.CERTIFICATE, CKO.DATA):
        parts = (CKA.VALUE, CKA.LABEL, CKA.APPLICATION)
        return b"\0".join(hashlib.sha256(each.octets(cka)).digest() for cka in parts)
    return b"\0".join((str(each.cko).encode(), each.octets(CKA.ID), each.octets(CKA.LABEL)))


def _may_have_key(each: Seen) -> bool:
    category = each.told.get(CKA.CERTIFICATE_CATEGORY)
    return category not in (
        CK.CERTIFICATE_CATEGORY_AUTHORITY,
        CK.CERTIFICATE_CATEGORY_OTHER_ENTITY,
    )


def _key_type(each: Seen) -> int:
    value = each.told.get(CKA.KEY_TYPE)
    return value if isinstance(value, int) else int(CK.UNAVAILABLE_INFORMATION)


def _label(told: Attributes) -> str:
    label = told.get(CKA.LABEL)
    return label.rstrip(b"\0").decode(errors="replace") if isinstance(label, bytes) else ""


def _usual_size(kind: SecretType) -> int:
    """Old modules do not tell the length of keys that have but one."""
    return {SecretType.DES3: 24, SecretType.CHACHA20: 32}.get(kind, 0)
