"""Keys out of keys: derived, wrapped, unwrapped, encapsulated, all of it on the token."""

from collections.abc import Callable

from keyholm.core.errors import KeyNotFound, MechanismUnsupported, NotExportable
from keyholm.core.mechanisms import AesKeyWrap, Mechanism, spelling
from keyholm.core.model import Key, Kind, NewObject, Object
from keyholm.core.policy import Policy
from keyholm.core.store import Derives
from keyholm.cryptoki.outward import outward
from keyholm.stores.modules import templates
from keyholm.stores.modules.contents import Known
from keyholm.stores.modules.line import ROOM, Line
from keyholm.stores.modules.making import WithObjects, check_attributes
from keyholm.stores.modules.token import result
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11.constants import CKA, CKF, CKM


class WithDerivation(WithObjects, Derives):
    def derive(self, key: Key, mechanism: Mechanism, new: NewObject, policy: Policy) -> Key:
        said = self._said(mechanism, CKF.DERIVE, "derive")
        template = self._template(new)

        def act(line: Line, session: int) -> int:
            handle = self.handle(line, session, key)
            (made,) = line.call("DeriveKey", session, said, handle, template)
            return int(made)

        return self._new(act, new, policy)

    def wrap(self, wrapping: Key, key: Key, mechanism: Mechanism) -> bytes:
        self.check_open()
        said = self._said(mechanism, CKF.WRAP, "wrap")
        if not self.entry(key).held.attributes.get(CKA.EXTRACTABLE):
            raise NotExportable(f"{key.label!r} was made so that it does not leave {self.label}.")
        # Who wraps encrypts, and of a key pair that is what the public half does.
        public = wrapping.kind is Kind.PRIVATE

        def act(line: Line, session: int) -> bytes:
            by = self.handle(line, session, wrapping, public=public)
            handle = self.handle(line, session, key)
            return result(line.call("WrapKey", session, said, by, handle, ROOM))

        return self.use(act)

    def unwrap(
        self, unwrapping: Key, mechanism: Mechanism, wrapped: bytes, new: NewObject, policy: Policy
    ) -> Key:
        said = self._said(mechanism, CKF.UNWRAP, "unwrap")
        template = self._template(new, sized=False)

        def act(line: Line, session: int) -> int:
            handle = self.handle(line, session, unwrapping)
            (made,) = line.call("UnwrapKey", session, said, handle, wrapped, template)
            return int(made)

        return self._new(act, new, policy)

    def encapsulate(
        self, key: Key | Object, mechanism: Mechanism, new: NewObject, policy: Policy
    ) -> tuple[bytes, Key]:
        said = self._said(mechanism, CKF.ENCAPSULATE, "encapsulate")
        template = self._template(new)
        ciphertext = b""

        def act(line: Line, session: int) -> int:
            nonlocal ciphertext
            handle = self.handle(line, session, key, public=isinstance(key, Key))
            values = line.call("EncapsulateKey", session, said, handle, template, ROOM)
            ciphertext, made = result(values[:1]), values[1]
            return int(made)

        made = self._new(act, new, policy)
        return ciphertext, made

    def decapsulate(
        self, key: Key, mechanism: Mechanism, ciphertext: bytes, new: NewObject, policy: Policy
    ) -> Key:
        said = self._said(mechanism, CKF.DECAPSULATE, "decapsulate")
        template = self._template(new)

        def act(line: Line, session: int) -> int:
            handle = self.handle(line, session, key)
            (made,) = line.call("DecapsulateKey", session, said, handle, template, ciphertext)
            return int(made)

        return self._new(act, new, policy)

    # --- what they share ---------------------------------------------------------------

    def _said(self, mechanism: Mechanism, flag: int, verb: str) -> wire.Mechanism:
        said, listed = outward(mechanism), self.listed(flag)
        if isinstance(mechanism, AesKeyWrap) and mechanism.padded and said.type not in listed:
            said = wire.Mechanism(CKM.AES_KEY_WRAP_PAD)  # what RFC 5649 was called before 3.0
        if listed and said.type not in listed:
            raise MechanismUnsupported(
                f"{self.label} does not {verb} by {spelling(mechanism)}.",
                remedy="Use another mechanism, or another token.",
            )
        return said

    def _template(self, new: NewObject, *, sized: bool = True) -> templates.Template:
        self.check_open()
        self.check_room(new.session)
        check_attributes(new.attributes)
        return templates.made_of(new, sized=sized)

    def _new(self, act: Callable[[Line, int], int], new: NewObject, policy: Policy) -> Key:
        known = Known(size=new.type.size if new.type is not None else 0)

        def making(line: Line, session: int) -> Key | Object:
            entry = self.made(line, session, (act(line, session),), policy, known=known)
            return self.keep(entry, policy, session=new.session)

        key = self.use(making)
        if not isinstance(key, Key):
            raise KeyNotFound(f"{self.label} made no key.")
        if not new.session:
            self.tell_of(None, key)
        return key
