"""Finding objects, reading and changing them, making and destroying them."""

from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Final, cast

from keyholm.core import actions
from keyholm.core.errors import LimitExceeded
from keyholm.core.model import Key, Kind, NewObject, Object
from keyholm.core.policy import OPEN
from keyholm.core.session import Role
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import making, showing
from keyholm.doors.pkcs11.application import MAX_SESSION_OBJECTS, Session
from keyholm.doors.pkcs11.client import Client, key_of
from keyholm.doors.pkcs11.objects import INVALID, SECRET, SENSITIVE, Shown, Told, Untold
from keyholm.doors.pkcs11.view import matches
from keyholm.wire.pkcs11.attributes import Attribute, Template, Value, Wanted
from keyholm.wire.pkcs11.constants import CK, CKA, CKO, CKR

CLASSES: Final[dict[Kind, int]] = {
    Kind.PRIVATE: CKO.PRIVATE_KEY,
    Kind.PUBLIC: CKO.PUBLIC_KEY,
    Kind.SECRET: CKO.SECRET_KEY,
    Kind.CERTIFICATE: CKO.CERTIFICATE,
    Kind.DATA: CKO.DATA,
}
MOST_FOUND: Final = 4096  # in one answer


# --- finding -----------------------------------------------------------------------------


def find_objects_init(client: Client, handle: int, template: Template) -> None:
    session = client.session(handle)
    with session.lock:
        if session.found is not None:
            raise Wrong(CKR.OPERATION_ACTIVE)
        session.found = iter(_found(client, session, template))


def _found(client: Client, session: Session, template: Template) -> list[Shown]:
    found = client.views.of(session.token).find(template)
    own = client.application.session_objects(session.token)
    found = [*found, *(shown for shown in own if matches(shown, template))]
    return client.seen(session.token, found)


def find_objects(client: Client, handle: int, room: int) -> tuple[object, ...]:
    handle_of = client.application.handle_of
    return (tuple(handle_of(shown) for shown in _next(client, handle, room)),)


def find_objects_with(
    client: Client, handle: int, room: int, types: tuple[int, ...] | None
) -> tuple[object, ...]:
    found = _next(client, handle, room)
    handles = tuple(client.application.handle_of(shown) for shown in found)
    return handles, tuple(_told(cka, shown.value(cka)) for shown in found for cka in types or ())


def _next(client: Client, handle: int, room: int) -> list[Shown]:
    session = client.session(handle)
    with session.lock:
        if session.found is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        return list(islice(session.found, min(room, MOST_FOUND)))


def find_objects_final(client: Client, handle: int) -> None:
    session = client.session(handle)
    with session.lock:
        if session.found is None:
            raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
        session.found = None


# --- attributes --------------------------------------------------------------------------


def _told(cka: int, value: Told) -> Attribute:
    # What the core keeps and what crosses are the same values, said in two ways.
    return cka, None if isinstance(value, Untold) else cast("Value", value)


def get_attribute_value(
    client: Client, handle: int, target: int, wanted: tuple[Wanted, ...]
) -> tuple[object, ...]:
    """Every attribute that can be told is, whatever becomes of the others."""
    client.session(handle)
    shown = client.object(target)
    told: list[Attribute] = []
    code = CKR.OK
    for cka, _room in wanted:
        value = shown.value(cka)
        if value is SECRET:
            value = making.secret_value(client.gate, client.caller, key_of(shown), cka)
        if value is INVALID:
            code = code or CKR.ATTRIBUTE_TYPE_INVALID
        elif value is SENSITIVE:
            code = CKR.ATTRIBUTE_SENSITIVE
        told.append(_told(cka, value))
    return tuple(told), code


def set_attribute_value(client: Client, handle: int, target: int, template: Template) -> None:
    session = client.session(handle)
    shown = client.object(target)
    check_writable(session, shown.is_session)
    officer = client.role(session.token) is Role.OFFICER
    attributes = making.changed(shown, template, officer=officer)
    if isinstance(shown.held, int):
        raise Wrong(CKR.ACTION_PROHIBITED)
    public = shown.cko == CKO.PUBLIC_KEY
    after = client.gate.manage(client.caller, actions.Change(shown.held, attributes, public=public))
    if shown.is_session:  # the views, which are told of changes, have those of tokens alone
        assert isinstance(after, Key | Object)  # noqa: S101 - it is what Change gives
        client.application.show_anew(showing.shown(shown.token, after))


def get_object_size(client: Client, handle: int, target: int) -> tuple[object, ...]:
    client.session(handle)
    client.object(target)
    return (CK.UNAVAILABLE_INFORMATION,)


# --- making and destroying ---------------------------------------------------------------


def create_object(client: Client, handle: int, template: Template) -> tuple[object, ...]:
    session = client.session(handle)
    officer = client.role(session.token) is Role.OFFICER
    new = making.new_object(template, officer=officer)
    with secret_of(new):
        return (_created(client, session, new),)


def copy_object(client: Client, handle: int, target: int, template: Template) -> tuple[object, ...]:
    session = client.session(handle)
    new = making.copied(client.gate, client.caller, client.object(target), template)
    with secret_of(new):
        return (_created(client, session, new),)


def _created(client: Client, session: Session, new: NewObject) -> int:
    check_writable(session, new.session)
    made = client.gate.manage(client.caller, actions.Create(session.token, new, OPEN))
    assert isinstance(made, Key | Object)  # noqa: S101 - it is what Create gives
    return keep(client, session, made, CLASSES[made.kind])


def secret_of(new: NewObject) -> AbstractContextManager[object]:
    """Wiped when the object is made: its store has its own."""
    return new.material if new.material is not None else nullcontext()


def destroy_object(client: Client, handle: int, target: int) -> None:
    session = client.session(handle)
    if client.application.went_along(target):
        return
    shown = client.object(target)
    check_writable(session, shown.is_session)
    if not shown.flag(CKA.DESTROYABLE):
        raise Wrong(CKR.ACTION_PROHIBITED, "The object was made so that it is not destroyed.")
    client.give_up(target)


def check_writable(session: Session, of_session: bool) -> None:
    if not session.writable and not of_session:
        raise Wrong(CKR.SESSION_READ_ONLY)


def keep(client: Client, session: Session, made: Key | Object, cko: int) -> int:
    """The handle of an object that was just made; what is of a session ends with it."""
    shown = next((each for each in showing.shown(session.token, made) if each.cko == cko), None)
    if shown is None:
        raise Wrong(CKR.TEMPLATE_INCONSISTENT, "PKCS#11 has no such object.")
    handle = client.application.handle_of(shown)
    if shown.is_session:
        if len(session.made) >= MAX_SESSION_OBJECTS:
            client.give_up(handle)
            raise LimitExceeded(f"A session has at most {MAX_SESSION_OBJECTS} objects of its own.")
        session.made.append(handle)
    return handle
