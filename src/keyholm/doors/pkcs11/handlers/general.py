"""The library, its slots and tokens, and the tokens' PINs."""

from keyholm.core import actions, naming
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import HasPins, NewPins, PassesThrough
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11 import slots
from keyholm.doors.pkcs11.client import Client, is_legacy
from keyholm.wire.pkcs11.constants import CKF, CKM, CKR
from keyholm.wire.pkcs11.messages import fit_ulongs

CRYPTOKI: tuple[int, int] = (3, 2)
# The magic words with which p11-kit's client begins.
HANDSHAKE = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"
LOOK_AGAIN = 1.0  # seconds after which somebody who waits may have gone
DISK = "disk"  # the store that makes tokens


def initialize(
    client: Client, handshake: bytes | None, has_reserved: int, reserved: object
) -> None:
    if not client.dialect.is_ours and handshake != HANDSHAKE:
        raise Wrong(CKR.ARGUMENTS_BAD, "This is not how p11-kit's client begins.")


def finalize(client: Client) -> None:
    """What the application has ends when its last connection does."""


def get_info(client: Client) -> tuple[object, ...]:
    return CRYPTOKI, naming.MANUFACTURER, 0, naming.LIBRARY, naming.LIBRARY_VERSION


def get_slot_list(client: Client, present: int, room: int) -> tuple[object, ...]:
    return (fit_ulongs(client.slots.listed(client.caller, present=bool(present)), room),)


def get_slot_info(client: Client, slot: int) -> tuple[object, ...]:
    try:
        token = client.slots.token(client.caller, slot)
    except Wrong as error:
        if error.code == CKR.SLOT_ID_INVALID:
            raise
        return slots.slot_info(None)
    return slots.slot_info(token)


def get_token_info(client: Client, slot: int) -> tuple[object, ...]:
    if slot == slots.FREE:
        return slots.free_token_info()
    token = client.slots.token(client.caller, slot)
    sessions = client.application.sessions_of(token)
    writable = sum(session.writable for session in sessions)
    return slots.token_info(token, len(sessions), writable)


def wait_for_slot_event(client: Client, flags: int) -> tuple[object, ...]:
    """An event that nobody asked about yet. Who waits has this connection to itself."""
    application = client.application
    while True:
        blocks = not flags & CKF.DONT_BLOCK and not client.is_gone()
        slot = client.slots.wait(application.events_seen, LOOK_AGAIN if blocks else 0)
        if slot is not None:
            application.events_seen += 1
            return (slot,)
        if not blocks:
            raise Wrong(CKR.NO_EVENT)


def get_mechanism_list(client: Client, slot: int, room: int) -> tuple[object, ...]:
    token = client.slots.token(client.caller, slot)
    if isinstance(token, PassesThrough):
        return (fit_ulongs(tuple(token.mechanisms), room),)
    return (fit_ulongs(mechanisms.listed(legacy=is_legacy(token)), room),)


def get_mechanism_info(client: Client, slot: int, ckm: int) -> tuple[object, ...]:
    token = client.slots.token(client.caller, slot)
    if not isinstance(token, PassesThrough):
        return mechanisms.info(ckm, legacy=is_legacy(token))
    known = token.mechanisms.get(ckm)
    if known is None:
        raise Wrong(CKR.MECHANISM_INVALID, f"The token does not have {CKM.name(ckm)}.")
    return known


# --- PINs ------------------------------------------------------------------------------


def init_token(client: Client, slot: int, pin: memoryview | None, label: str) -> None:
    name = label.rstrip(" \0")
    with _secret(pin) as secret:
        if slot == slots.FREE:
            # Who makes a token in this way asks for its PIN in programs, too.
            pins = NewPins(secret, None, application_login=True)
            store = client.gate.inventory.store(DISK)
            owner = client.caller.uid
            client.gate.manage(client.caller, actions.MakePinToken(store, name, owner, pins))
            return
        token = client.slots.token(client.caller, slot)
        if client.application.sessions_of(token):
            raise Wrong(CKR.SESSION_EXISTS)
        client.gate.manage(client.caller, actions.InitToken(token, secret, name))


def init_pin(client: Client, handle: int, pin: memoryview | None) -> None:
    session = client.session(handle)
    with _secret(pin) as secret:
        client.gate.manage(client.caller, actions.InitPin(session.token, secret))


def set_pin(client: Client, handle: int, old: memoryview | None, new: memoryview | None) -> None:
    session = client.session(handle)
    if not session.writable:
        raise Wrong(CKR.SESSION_READ_ONLY)
    if not isinstance(session.token, HasPins):
        raise Wrong(
            CKR.FUNCTION_NOT_SUPPORTED,
            f"{session.token.label} has a passphrase, no PIN.",
            remedy="`keyholm passwd` changes it.",
        )
    role = client.role(session.token) or Role.USER
    with _secret(old) as before, _secret(new) as after:
        client.gate.manage(client.caller, actions.SetPin(session.token, role, before, after))


def _secret(pin: memoryview | None) -> Secret:
    """The frame that it came in is wiped after the call."""
    if pin is None:
        raise Wrong(
            CKR.ARGUMENTS_BAD,
            "This needs a PIN from the program.",
            remedy="Give it one, or set it with `keyholm token`.",
        )
    return Secret.of(pin)
