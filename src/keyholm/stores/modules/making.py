"""Keys and objects that are made on a token, brought to it, changed and destroyed."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from keyholm.core.errors import (
    AlgorithmUnsupported,
    BadRequest,
    KeyNotFound,
    LimitExceeded,
    NotExportable,
)
from keyholm.core.model import (
    SESSION,
    Attributes,
    Key,
    Kind,
    NewKey,
    NewObject,
    Object,
    Place,
    RsaKey,
    SecretKey,
    SecretType,
    spelled,
)
from keyholm.core.policy import OPEN, Policy
from keyholm.core.secret import Secret
from keyholm.core.store import (
    Destroys,
    Generates,
    Handover,
    HoldsObjects,
    Imports,
)
from keyholm.cryptoki import forms
from keyholm.cryptoki.forms import Form
from keyholm.cryptoki.private_keys import parts_of, pkcs8_of
from keyholm.cryptoki.secrets import MAKES
from keyholm.stores.modules import contents, public, reading, templates
from keyholm.stores.modules.contents import STORE, Entry, Known, Whose
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.line import Line
from keyholm.stores.modules.templates import Template
from keyholm.stores.modules.token import ModuleToken
from keyholm.stores.software import keys as software
from keyholm.stores.software import material
from keyholm.stores.software.material import Material
from keyholm.stores.software.plain import plain_form
from keyholm.wire.codec import Malformed
from keyholm.wire.pkcs11.constants import CKA
from keyholm.wire.pkcs11.mechanisms import without_parameter
from keyholm.wire.ssh.private_keys import Private

MOST_OF_SESSIONS: Final = 4096  # objects
MOST_VALUE: Final = 256 * 1024  # bytes of an attribute
MOST_ATTRIBUTES: Final = 256
LARGEST_RSA: Final = 16384


class WithObjects(ModuleToken, HoldsObjects, Destroys):
    """A token on which something can be changed."""

    def objects(self) -> Sequence[Object]:
        return self.listed_objects()

    # --- what is new -------------------------------------------------------------------

    def made(
        self, line: Line, session: int, new: Sequence[int], policy: Policy, *, known: Known
    ) -> Entry:
        """The entry of the objects that were just made: both halves of a key pair, or one."""
        whose = Whose(self.name, self.identity.serial, hidden=False)
        found = contents.gather(
            list(reading.seen(line, session, new)),
            whose,
            self.hash_of_policy,
            known=dict.fromkeys(new, known),
            taken=set(self._entries),
        )
        if not found:
            raise KeyNotFound(f"{self.label} made something and does not show it.")
        return found[0]

    def keep(self, entry: Entry, policy: Policy, *, session: bool) -> Key | Object:
        """Whoever calls holds the lock, and tells of it later."""
        if session:
            return self._keep_of_session(entry, policy)
        if isinstance(entry.held, Key) and policy != OPEN:
            self.around.policies.set(entry.held.id, policy)
            entry.held = replace(entry.held, policy_hash=self.hash_of_policy(entry.held.id))
        order = max((each.held.order for each in self._entries.values()), default=0) + 1
        entry.held = replace(entry.held, order=order)
        self._entries[entry.name] = entry
        self.publish()
        return entry.held

    def _keep_of_session(self, entry: Entry, policy: Policy) -> Key | Object:
        name = SESSION + secrets.token_hex(8)
        entry.held = replace(entry.held, place=Place(STORE, self.name, name))
        entry.policy = policy
        self._session[name] = entry
        return entry.held

    def check_room(self, session: bool) -> None:
        if session and len(self._session) >= MOST_OF_SESSIONS:
            raise LimitExceeded(
                f"{self.label} has at most {MOST_OF_SESSIONS} objects of sessions.",
                remedy="Close the sessions of the program that made them.",
            )

    def create_object(self, new: NewObject, policy: Policy) -> Key | Object:
        self.check_open()
        self.check_room(new.session)
        check_attributes(new.attributes)
        if new.kind is Kind.PRIVATE:
            return self._bring_private(new, policy, new.attributes, with_public=False)
        if new.kind is Kind.SECRET:
            return self._bring_secret(new, policy)
        return self.bring([templates.object_of(new)], policy, Known(), session=new.session)

    def bring(
        self, wanted: Sequence[Template], policy: Policy, known: Known, *, session: bool
    ) -> Key | Object:
        """One object of each template, all of which are one thing; or none."""

        def act(line: Line, on: int) -> Key | Object:
            new: list[int] = []
            try:
                for template in wanted:
                    (handle,) = line.call_secretly("CreateObject", on, template)
                    new.append(handle)
                entry = self.made(line, on, new, policy, known=known)
            except Answered:
                self._take_back(line, on, new)
                raise
            return self.keep(entry, policy, session=session)

        held = self.use(act)
        if not session:
            self.tell_of(None, held)
        return held

    def _take_back(self, line: Line, on: int, new: Sequence[int]) -> None:
        for handle in new:
            line.call("DestroyObject", on, handle)

    def _bring_secret(self, new: NewObject, policy: Policy) -> Key | Object:
        if new.material is None:
            raise BadRequest("A secret key without its value.")
        wanted = new.type or SecretKey(SecretType.GENERIC, len(new.material))
        with material.secret_key(wanted.type, new.material.view) as kept:
            template = templates.secret_of(new, kept.secret, wanted.type)
            return self.bring([template], policy, Known(), session=new.session)

    def _bring_private(
        self, new: NewObject, policy: Policy, attributes: Attributes, *, with_public: bool
    ) -> Key | Object:
        if new.material is None:
            raise BadRequest("A private key without its value.")
        described = material.describe(new.material.view)
        form = forms.form_of_spki(described.spki)
        if form is None:
            raise AlgorithmUnsupported(f"PKCS#11 has no words for {described.algorithm} keys.")
        self.check_form(form)
        parts = _secret_parts(form, new.material)
        try:
            wanted = [templates.private_of(form, parts, new, attributes)]
            if with_public:
                wanted.append(
                    templates.public_of(form, described.spki, attributes, session=new.session)
                )
            known = Known(spki=described.spki, proven=True)
            return self.bring(wanted, policy, known, session=new.session)
        finally:
            for part in parts.values():
                part.close()

    def check_form(self, form: Form) -> None:
        """That the token has such keys at all. Raises `AlgorithmUnsupported`."""
        if self._mechanisms and form.generation not in self._mechanisms:
            raise AlgorithmUnsupported(f"{self.label} has no keys of this kind.")

    # --- what is there -----------------------------------------------------------------

    def change_object(
        self, which: Key | Object, attributes: Attributes | None, *, public: bool = False
    ) -> Key | Object:
        self.check_open()
        entry = self.entry(which)
        if attributes is None:
            return self._hide(entry)
        check_attributes(attributes)
        held = entry.held
        own = held.public_attributes if public and isinstance(held, Key) else held.attributes
        changes = tuple(
            (cka, value) for cka, value in attributes.items() if (own or {}).get(cka) != value
        )

        def act(line: Line, session: int) -> None:
            handle = self.handle(line, session, held, public=public)
            if changes:
                line.call("SetAttributeValue", session, handle, changes)

        self.use(act)
        changed = _changed(held, {**(own or {}), **attributes}, public=public)
        self.replace(entry, changed)
        return changed

    def _hide(self, entry: Entry) -> Key:
        """The public half is an object of its own here, and goes."""
        held = entry.key
        if held is None:
            raise KeyNotFound("This is no key.")

        def act(line: Line, session: int) -> None:
            if held.public_attributes is not None:
                line.call("DestroyObject", session, self.handle(line, session, held, public=True))

        self.use(act)
        entry.public = 0
        changed = replace(held, public_attributes=None)
        self.replace(entry, changed)
        return changed

    def remove_object(self, which: Object) -> None:
        self._remove(which)

    def destroy(self, key: Key) -> None:
        self._remove(key)

    def _remove(self, which: Key | Object) -> None:
        self.check_open()
        entry = self.entry(which)

        def act(line: Line, session: int) -> None:
            line.call("DestroyObject", session, self.handle(line, session, which))
            if entry.public:
                line.call("DestroyObject", session, entry.public)
            self._entries.pop(entry.name, None)
            self._session.pop(entry.name, None)
            self.publish()

        self.use(act)
        if not which.place.is_session:
            self.tell_of(entry.held, None)

    # --- values ------------------------------------------------------------------------

    def value_of(self, key: Key) -> Secret:
        self.check_open()
        held = self.entry(key).key
        if held is None or not held.exportable:
            raise NotExportable(f"{key.label!r} was made so that it does not leave {self.label}.")
        form = public.form_by_attributes(held.attributes) if held.kind is Kind.PRIVATE else None
        types = (CKA.VALUE,) if form is None else (*form.secret, *_PUBLIC_PARTS)

        def act(line: Line, session: int) -> dict[int, Any]:
            handle = self.handle(line, session, held)
            return reading.attributes(line, session, handle, types)

        told = self.use(act)
        if form is None:
            value = told.get(CKA.VALUE)
            if not isinstance(value, bytes) or held.kind is Kind.PRIVATE:
                raise _sensitive(self.label, key)
            return Secret.of(value)
        try:
            return pkcs8_of(form, {cka: memoryview(part) for cka, part in told.items()})
        except KeyError:
            raise _sensitive(self.label, key) from None


_PUBLIC_PARTS: Final = (CKA.MODULUS, CKA.PUBLIC_EXPONENT)


def _sensitive(label: str, key: Key) -> NotExportable:
    return NotExportable(
        f"{label} does not tell the value of {key.label!r}.",
        remedy="It may leave wrapped by another key (C_WrapKey).",
    )


def _secret_parts(form: Form, pkcs8: Secret) -> dict[int, Secret]:
    try:
        parts = parts_of(form, pkcs8.view)
    except Malformed as error:
        raise BadRequest(f"This private key cannot be read: {error}.") from error
    return {cka: Secret.of(part) for cka, part in parts.items()}


def _changed(held: Key | Object, attributes: Attributes, *, public: bool) -> Key | Object:
    if isinstance(held, Object):
        return replace(held, attributes=attributes)
    if public:
        return replace(held, public_attributes=attributes)
    label = attributes.get(CKA.LABEL)
    named = label.decode(errors="replace") if isinstance(label, bytes) else held.label
    return replace(held, attributes=attributes, label=named)


def check_attributes(attributes: Attributes) -> None:
    """Before anything goes to the token. Raises `LimitExceeded`, `BadRequest`."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise LimitExceeded(f"An object has at most {MOST_ATTRIBUTES} attributes.")
    for cka, value in attributes.items():
        _check_value(cka, value, 0)


DEEPEST: Final = 8  # templates in templates


def _check_value(cka: int, value: object, depth: int) -> None:
    if isinstance(value, bytes) and len(value) > MOST_VALUE:
        raise LimitExceeded(f"An attribute has at most {MOST_VALUE} bytes.")
    if depth > DEEPEST or not isinstance(value, bool | int | bytes | tuple):
        raise BadRequest(f"The attribute {cka:#x} has a value that no attribute has.")
    if isinstance(value, tuple):
        for each in value:
            if isinstance(each, tuple):
                _check_value(each[0], each[1], depth + 1)


class WithGeneration(WithObjects, Generates):
    def generate(self, new: NewKey, policy: Policy) -> Key:
        self.check_open()
        self.check_room(new.session)
        check_attributes(new.attributes)
        if isinstance(new.algorithm, SecretKey):
            return self._generate_secret(new, new.algorithm, policy)
        form = templates.form_of(new.algorithm)
        self._check_generation(form.generation, spelled(new.algorithm))
        if isinstance(new.algorithm, RsaKey) and new.algorithm.bits > LARGEST_RSA:
            raise AlgorithmUnsupported(f"RSA keys have at most {LARGEST_RSA} bits.")
        public, private = templates.pair(new, form)

        def act(line: Line, session: int) -> Key | Object:
            halves = line.call(
                "GenerateKeyPair", session, without_parameter(form.generation), public, private
            )
            # The private one first: it is the key.
            entry = self.made(line, session, halves[::-1], policy, known=Known(proven=True))
            return self.keep(entry, policy, session=new.session)

        return self._told(self.use(act), new)

    def _generate_secret(self, new: NewKey, wanted: SecretKey, policy: Policy) -> Key:
        ckm = MAKES[wanted.type]
        self._check_generation(ckm, spelled(wanted))
        template = templates.secret(new, wanted)

        def act(line: Line, session: int) -> Key | Object:
            made = line.call("GenerateKey", session, without_parameter(ckm), template)
            entry = self.made(line, session, made, policy, known=Known(size=wanted.size))
            return self.keep(entry, policy, session=new.session)

        return self._told(self.use(act), new)

    def _told(self, key: Key | Object, new: NewKey) -> Key:
        if not isinstance(key, Key):
            raise KeyNotFound(f"{self.label} made no key.")
        if not new.session:
            self.tell_of(None, key)
        return key

    def _check_generation(self, ckm: int, name: str) -> None:
        if self._mechanisms and ckm not in self._mechanisms:
            raise AlgorithmUnsupported(
                f"{self.label} makes no {name} keys.",
                remedy="`keyholm new` makes one in keyholm's own store.",
            )


class WithImports(WithObjects, Imports):
    def import_key(self, private: Private, new: Handover, policy: Policy) -> Key:
        self.check_open()
        software.check(private)
        try:
            sealed = material.pkcs8_of(Material(material.Form.SSH, plain_form(private)))
        except (TypeError, ValueError) as error:
            raise AlgorithmUnsupported(f"{self.label} has no keys of this kind.") from error
        with sealed:
            given = NewObject(
                Kind.PRIVATE, {CKA.LABEL: new.label.encode()}, sealed, exportable=new.exportable
            )
            attributes = {CKA.ID: secrets.token_bytes(templates.ID_SIZE), **given.attributes}
            key = self._bring_private(given, policy, attributes, with_public=True)
        if not isinstance(key, Key):
            raise KeyNotFound(f"{self.label} made no key.")
        return key
