"""Which objects a program is shown for what the core holds.

A key or an object of our own stores is shown by the tables of `objects`. One of a vendor's token
is shown as the token itself shows it (`Passed`): every attribute that it has, those of the vendor
and of later standards too. What is secret of it stays behind the gate all the same.
"""

from collections.abc import Iterator
from typing import Final, cast

from keyholm.core.model import Key, Kind, Object, Value
from keyholm.core.store import PassesThrough, Token
from keyholm.cryptoki import forms
from keyholm.doors.pkcs11.objects import (
    INDEXED,
    INVALID,
    SECRET,
    SENSITIVE,
    Shown,
    Told,
    shown_key,
    shown_object,
)
from keyholm.wire.pkcs11.constants import CKA, CKK, CKO

CLASSES: Final[dict[Kind, int]] = {
    Kind.PUBLIC: CKO.PUBLIC_KEY,
    Kind.CERTIFICATE: CKO.CERTIFICATE,
    Kind.DATA: CKO.DATA,
}


class Passed(Shown):
    """One object of a vendor's token."""

    __slots__ = ("_asked",)

    def __init__(self, token: Token, held: Key | Object, cko: int) -> None:
        public = cko == CKO.PUBLIC_KEY and isinstance(held, Key)
        stored = (cast(Key, held).public_attributes or {}) if public else held.attributes
        if isinstance(held, Key):
            is_private = stored.get(CKA.PRIVATE, not public) is True
            form = forms.form_of(held)
        else:
            is_private = held.private
            info = stored.get(CKA.PUBLIC_KEY_INFO)
            form = forms.form_of_spki(info) if isinstance(info, bytes) else None
        super().__init__(token, held, cko, stored, {}, is_private, form)
        self._asked: dict[int, Told] = {}

    def value(self, cka: int) -> Told:
        found = self.stored.get(cka)
        if found is not None:
            return found
        if cka in forms.SECRETS and self.cko in (CKO.PRIVATE_KEY, CKO.SECRET_KEY):
            return self._secret(cka)
        match cka:
            case CKA.CLASS:
                return self.cko
            case CKA.TOKEN:
                return not self.is_session
            case CKA.PRIVATE:
                return self.is_private
            case _ if cka in INDEXED:
                return INVALID  # these are told with the object, if it has them
            case _:
                return self._ask(cka)

    def attributes(self) -> Iterator[tuple[int, Value]]:
        yield from self.stored.items()

    def _secret(self, cka: int) -> Told:
        is_rsa = self.value(CKA.KEY_TYPE) == CKK.RSA
        if is_rsa != (cka in forms.RSA_SECRETS):
            return INVALID
        extractable = self.stored.get(CKA.EXTRACTABLE) is True
        return SECRET if extractable and self.stored.get(CKA.SENSITIVE) is False else SENSITIVE

    def _ask(self, cka: int) -> Told:
        """Asked once: an object that was changed is another `Passed`."""
        told = self._asked.get(cka)
        if told is None:
            token = cast(PassesThrough, self.token)
            answer = token.attributes_of(cast(Key | Object, self.held), self.cko, (cka,))
            told = self._asked[cka] = answer.get(cka, INVALID)
        return told


def shown(token: Token, held: Key | Object) -> tuple[Shown, ...]:
    """The objects that `held` is: both halves of a key pair, one, or none that has a name."""
    if not isinstance(token, PassesThrough):
        return shown_key(token, held) if isinstance(held, Key) else shown_object(token, held)
    if not isinstance(held, Key):
        own = held.attributes.get(CKA.CLASS)
        cko = own if isinstance(own, int) else CLASSES.get(held.kind)
        return () if cko is None else (Passed(token, held, cko),)
    if held.kind is Kind.SECRET:
        return (Passed(token, held, CKO.SECRET_KEY),)
    private = Passed(token, held, CKO.PRIVATE_KEY)
    if held.public_attributes is None:
        return (private,)
    return private, Passed(token, held, CKO.PUBLIC_KEY)
