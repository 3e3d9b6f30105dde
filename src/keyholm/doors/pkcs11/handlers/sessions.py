"""Sessions, and who is logged in."""

from keyholm.core import actions
from keyholm.core.errors import NoPrompter
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import HasPins, Token, Unlocks
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.application import Session
from keyholm.doors.pkcs11.client import Client
from keyholm.doors.pkcs11.running import Kind
from keyholm.wire.pkcs11.constants import CKA, CKF, CKO, CKR, CKS, CKU

ROLES = {CKU.USER: Role.USER, CKU.SO: Role.OFFICER}
# What C_SessionCancel ends, by the flag that names it.
CANCELLED = {
    CKF.MESSAGE_ENCRYPT: Kind.MESSAGE_ENCRYPT,
    CKF.MESSAGE_DECRYPT: Kind.MESSAGE_DECRYPT,
    CKF.MESSAGE_SIGN: Kind.MESSAGE_SIGN,
    CKF.MESSAGE_VERIFY: Kind.MESSAGE_VERIFY,
    CKF.ENCRYPT: Kind.ENCRYPT,
    CKF.DECRYPT: Kind.DECRYPT,
    CKF.SIGN: Kind.SIGN,
    CKF.SIGN_RECOVER: Kind.SIGN_RECOVER,
    CKF.VERIFY: Kind.VERIFY,
    CKF.VERIFY_RECOVER: Kind.VERIFY_RECOVER,
}


def open_session(client: Client, slot: int, flags: int) -> tuple[object, ...]:
    if not flags & CKF.SERIAL_SESSION:
        raise Wrong(CKR.SESSION_PARALLEL_NOT_SUPPORTED)
    if flags & CKF.ASYNC_SESSION:
        raise Wrong(CKR.SESSION_ASYNC_NOT_SUPPORTED)
    token = client.slots.token(client.caller, slot)
    writable = bool(flags & CKF.RW_SESSION)
    if not writable and client.role(token) is Role.OFFICER:
        raise Wrong(CKR.SESSION_READ_WRITE_SO_EXISTS)
    return (client.application.open(slot, token, writable=writable).handle,)


def close_session(client: Client, handle: int) -> None:
    close(client, client.application.close(handle))


def close_all_sessions(client: Client, slot: int) -> None:
    token = client.slots.token(client.caller, slot)
    for session in client.application.sessions_of(token):
        close(client, client.application.close(session.handle))


def close(client: Client, session: Session) -> None:
    """What a session made goes with it, and with the last one the login."""
    with session.lock:
        session.end_all()
    for made in session.made:
        if client.application.knows(made):
            client.give_up(made)
    if not client.application.sessions_of(session.token):
        client.log_out(session.token)


def get_session_info(client: Client, handle: int) -> tuple[object, ...]:
    session = client.session(handle)
    flags = CKF.SERIAL_SESSION | (CKF.RW_SESSION if session.writable else 0)
    return session.slot, _state(client, session), flags, 0


def _state(client: Client, session: Session) -> int:
    match client.role(session.token), session.writable:
        case Role.OFFICER, _:
            return CKS.RW_SO_FUNCTIONS
        case Role.USER, writable:
            return CKS.RW_USER_FUNCTIONS if writable else CKS.RO_USER_FUNCTIONS
        case _, writable:
            return CKS.RW_PUBLIC_SESSION if writable else CKS.RO_PUBLIC_SESSION


def session_cancel(client: Client, handle: int, flags: int) -> None:
    session = client.session(handle)
    with session.lock:
        if flags & CKF.FIND_OBJECTS:
            session.found = None
        if flags & CKF.DIGEST:
            session.digesting = None
        for flag, kind in CANCELLED.items():
            if flags & flag:
                session.end(kind)


# --- logins ------------------------------------------------------------------------------


def login(client: Client, handle: int, user: int, pin: memoryview | None) -> None:
    session = client.session(handle)
    if user == CKU.CONTEXT_SPECIFIC:
        _login_for_one_use(client, session, pin)
        return
    role = ROLES.get(user)
    if role is None:
        raise Wrong(CKR.USER_TYPE_INVALID)
    _check_login(client, session, role)
    try:
        _prove(client, session.token, role, pin)
    except NoPrompter as error:
        if role is not Role.USER:
            raise
        raise _told_better(client, session.token, error) from error


def login_user(
    client: Client, handle: int, user: int, pin: memoryview | None, name: bytes | None
) -> None:
    """Users with names are for tokens that have more than one."""
    if name:
        raise Wrong(CKR.USER_TYPE_INVALID, "The token has one user, who has no name.")
    login(client, handle, user, pin)


def _check_login(client: Client, session: Session, role: Role) -> None:
    known = client.role(session.token)
    if known is role and _has_closed(session.token):
        return  # such as a vendor's token whose worker was begun anew
    if known is role:
        raise Wrong(CKR.USER_ALREADY_LOGGED_IN)
    if known is not None:
        raise Wrong(CKR.USER_ANOTHER_ALREADY_LOGGED_IN)
    if role is Role.OFFICER and any(
        not other.writable for other in client.application.sessions_of(session.token)
    ):
        raise Wrong(CKR.SESSION_READ_ONLY_EXISTS)


def _has_closed(token: Token) -> bool:
    """Whether it wants its PIN once more, whoever logged in before."""
    return isinstance(token, HasPins) and isinstance(token, Unlocks) and token.locked


def _prove(client: Client, token: Token, role: Role, pin: memoryview | None) -> None:
    if pin is None and isinstance(token, HasPins) and token.application_login:
        raise Wrong(CKR.ARGUMENTS_BAD, f"{token.label} wants its PIN from the program.")
    if not isinstance(token, HasPins) and not (isinstance(token, Unlocks) and token.guarded):
        # Nothing to prove: the token is as open as its owner's uid.
        client.application.logins.roles[token.store, token.name] = role
        return
    with Secret.of(pin) if pin is not None else client.gate.ask_pin(client.caller, token) as secret:
        client.gate.manage(client.caller, actions.LogIn(token, role, secret))


def _told_better(client: Client, token: Token, error: NoPrompter) -> Wrong:
    """Programs such as `ssh -I` log in where they found no key that they can use. There a login
    shows no more of them, so that nobody can be asked for it is not what the user must know."""
    private = client.views.of(token).find(((CKA.CLASS, CKO.PRIVATE_KEY),))
    if not client.seen(token, private):
        what = f"{token.label} shows this program no key, with a login or without."
        remedy = "`keyholm list` lists what there is, `keyholm why` tells what was refused."
    elif isinstance(token, Unlocks) and token.locked:
        what = f"{token.label} is locked, and nobody can be asked to unlock it."
        remedy = f"`keyholm unlock {token.label}`, or see `keyholm doctor`."
    else:
        what = f"{token.label} shows this program its keys without a login; nobody can be asked."
        remedy = f"Perhaps the program can use none of them. {error.remedy}"
    return Wrong(CKR.FUNCTION_REJECTED, what, remedy=remedy)


def _login_for_one_use(client: Client, session: Session, pin: memoryview | None) -> None:
    """CKA_ALWAYS_AUTHENTICATE: the PIN again, between the init and the use."""
    waiting = [active for active in session.active.values() if active.wants_pin]
    if not waiting:
        raise Wrong(CKR.OPERATION_NOT_INITIALIZED)
    _prove(client, session.token, Role.USER, pin)
    for active in waiting:
        active.wants_pin = False


def logout(client: Client, handle: int) -> None:
    session = client.session(handle)
    if client.role(session.token) is None:
        raise Wrong(CKR.USER_NOT_LOGGED_IN)
    client.log_out(session.token)


def get_session_validation_flags(client: Client, handle: int, kind: int) -> tuple[object, ...]:
    """Nothing here was validated by anybody (FIPS 140 and its like)."""
    client.session(handle)
    if kind != CKS.LAST_VALIDATION_OK:
        raise Wrong(CKR.ARGUMENTS_BAD)
    return (0,)
