"""Making keys, and keys out of keys."""

from msgspec.structs import replace

from keyholm.core import actions
from keyholm.core.errors import DataInvalid
from keyholm.core.model import Key, Kind, NewKey
from keyholm.core.policy import OPEN
from keyholm.core.store import PassesThrough
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import lengths, making
from keyholm.doors.pkcs11.application import Session
from keyholm.doors.pkcs11.client import Client, is_legacy, key_of, mechanism_for
from keyholm.doors.pkcs11.handlers.objects import check_writable, keep, secret_of
from keyholm.doors.pkcs11.objects import Shown
from keyholm.doors.pkcs11.running import core_of, fits
from keyholm.wire.pkcs11.attributes import Template
from keyholm.wire.pkcs11.constants import CKA, CKF, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.parameters import Pbkdf2


def generate_key(
    client: Client, handle: int, mechanism: Mechanism, template: Template
) -> tuple[object, ...]:
    session = client.session(handle)
    if isinstance(mechanism.parameter, Pbkdf2):
        made = _stretched(client, session, mechanism, mechanism.parameter, template)
    else:
        legacy = is_legacy(session.token)
        new = making.secret_key(mechanism, template, legacy=legacy)
        made = _generated(client, session, new)
    return (keep(client, session, made, CKO.SECRET_KEY),)


def _stretched(
    client: Client, session: Session, mechanism: Mechanism, given: Pbkdf2, template: Template
) -> Key:
    """A key out of a password, which is a key of the session for as long as that takes."""
    chosen = mechanisms.chosen(mechanism, CKF.GENERATE)
    new = making.stretched(template)
    check_writable(session, new.session)
    password = making.password_key(given)
    with secret_of(password):
        base = client.gate.manage(client.caller, actions.Create(session.token, password, OPEN))
    assert isinstance(base, Key)  # noqa: S101 - it is what Create gives for a secret key
    try:
        return client.gate.derive(client.caller, base, core_of(chosen), new)
    finally:
        client.gate.manage(client.caller, actions.Destroy(base))


def generate_key_pair(
    client: Client, handle: int, mechanism: Mechanism, public: Template, private: Template
) -> tuple[object, ...]:
    session = client.session(handle)
    made = _generated(client, session, making.key_pair(mechanism, public, private))
    return (
        keep(client, session, made, CKO.PUBLIC_KEY),
        keep(client, session, made, CKO.PRIVATE_KEY),
    )


def _generated(client: Client, session: Session, new: NewKey) -> Key:
    check_writable(session, new.session)
    made = client.gate.manage(client.caller, actions.Generate(session.token, new, OPEN))
    assert isinstance(made, Key)  # noqa: S101 - it is what Generate gives
    return made


# --- keys out of keys --------------------------------------------------------------------


def derive_key(
    client: Client, handle: int, mechanism: Mechanism, base: int, template: Template
) -> tuple[object, ...]:
    session = client.session(handle)
    shown = _permitted(client, base, CKA.DERIVE)
    chosen = mechanism_for(shown, mechanism, CKF.DERIVE)
    new = making.derived(chosen, shown, template)
    check_writable(session, new.session)
    made = client.gate.derive(client.caller, key_of(shown), core_of(chosen), new)
    return (keep(client, session, made, CKO.SECRET_KEY),)


def derive_key_2(
    client: Client, handle: int, mechanism: Mechanism, base: int, template: Template
) -> tuple[object, ...]:
    """p11-kit's own: no mechanism of ours writes into its parameter."""
    return CKR.OK, b"", *derive_key(client, handle, mechanism, base, template)


def wrap_key(
    client: Client, handle: int, mechanism: Mechanism, wrapping: int, key: int, room: int
) -> tuple[object, ...]:
    client.session(handle)
    with_this = _permitted(client, wrapping, CKA.WRAP, CKR.WRAPPING_KEY_HANDLE_INVALID)
    shown = client.object(key, CKR.KEY_HANDLE_INVALID)
    making.check_wrappable(with_this, shown)
    chosen = mechanism_for(with_this, mechanism, CKF.WRAP)
    most = lengths.of_wrapped(with_this, shown, core_of(chosen))
    if not room:
        return (most,)
    wrapped = client.gate.wrap(client.caller, key_of(with_this), key_of(shown), core_of(chosen))
    return (wrapped if fits(len(wrapped), room) else len(wrapped),)


def unwrap_key(
    client: Client,
    handle: int,
    mechanism: Mechanism,
    unwrapping: int,
    wrapped: bytes | None,
    template: Template,
) -> tuple[object, ...]:
    session = client.session(handle)
    shown = _permitted(client, unwrapping, CKA.UNWRAP, CKR.UNWRAPPING_KEY_HANDLE_INVALID)
    chosen = mechanism_for(shown, mechanism, CKF.UNWRAP)
    new = making.unwrapped(shown, template)
    check_writable(session, new.session)
    if new.kind is Kind.PRIVATE and isinstance(session.token, PassesThrough):
        # It looks inside only once it was told what is there; our own stores see for themselves.
        said = {cka: value for cka, value in template if cka == CKA.KEY_TYPE}
        new = replace(new, attributes={**new.attributes, **said})
    made = client.gate.unwrap(client.caller, key_of(shown), core_of(chosen), wrapped or b"", new)
    return (keep(client, session, made, making.class_of(made)),)


def encapsulate_key(
    client: Client, handle: int, mechanism: Mechanism, public: int, template: Template, room: int
) -> tuple[object, ...]:
    session = client.session(handle)
    shown = _permitted(client, public, CKA.ENCAPSULATE)
    chosen = mechanism_for(shown, mechanism, CKF.ENCAPSULATE)
    length = lengths.of_ciphertext(shown)
    if not fits(length, room):
        return length, 0
    new = making.derived(chosen, shown, template)
    check_writable(session, new.session)
    held = shown.held
    if isinstance(held, int):
        raise Wrong(CKR.KEY_HANDLE_INVALID)
    ciphertext, made = client.gate.encapsulate(client.caller, held, core_of(chosen), new)
    return ciphertext, keep(client, session, made, CKO.SECRET_KEY)


def decapsulate_key(
    client: Client,
    handle: int,
    mechanism: Mechanism,
    private: int,
    template: Template,
    ciphertext: bytes | None,
) -> tuple[object, ...]:
    session = client.session(handle)
    shown = _permitted(client, private, CKA.DECAPSULATE)
    chosen = mechanism_for(shown, mechanism, CKF.DECAPSULATE)
    new = making.derived(chosen, shown, template)
    check_writable(session, new.session)
    if not ciphertext:
        raise DataInvalid("There is nothing to decapsulate.")
    made = client.gate.decapsulate(client.caller, key_of(shown), core_of(chosen), ciphertext, new)
    return (keep(client, session, made, CKO.SECRET_KEY),)


def _permitted(
    client: Client, handle: int, use: int, invalid: int = CKR.KEY_HANDLE_INVALID
) -> Shown:
    shown = client.object(handle, invalid)
    if not shown.flag(use):
        raise Wrong(CKR.KEY_FUNCTION_NOT_PERMITTED, "The key was not made for that.")
    return shown
