"""Digests and random bytes: no key is used, so nothing is decided or recorded."""

import os
from typing import Final

from keyholm.core.errors import LimitExceeded
from keyholm.cryptoki import mechanisms
from keyholm.cryptoki.wrong import Wrong
from keyholm.doors.pkcs11.application import Session
from keyholm.doors.pkcs11.client import Client, is_legacy, key_of
from keyholm.doors.pkcs11.objects import SECRET
from keyholm.doors.pkcs11.running import Hasher, fits, refuse_parts
from keyholm.wire.pkcs11.constants import CKA, CKF, CKO, CKR
from keyholm.wire.pkcs11.mechanisms import NO_MECHANISM, Mechanism
from keyholm.wire.pkcs11.values import NULL

MOST_RANDOM: Final = 1 << 20


def _hasher(session: Session, mechanism: Mechanism) -> Hasher:
    legacy = is_legacy(session.token)
    return mechanisms.hasher(mechanisms.chosen(mechanism, CKF.DIGEST, legacy=legacy))


def digest_init(client: Client, handle: int, mechanism: Mechanism) -> None:
    session = client.session(handle)
    with session.lock:
        if mechanism == NO_MECHANISM:
            session.digesting = None
            return
        session.start_digest(_hasher(session, mechanism))


def begin(client: Client, handle: int, mechanism: Mechanism) -> tuple[object, ...]:
    session = client.session(handle)
    hasher = _hasher(session, mechanism)
    with session.lock:
        session.start_digest(hasher)
    return hasher.digest_size, 1


def digest_once(
    client: Client, handle: int, mechanism: Mechanism, data: bytes | None, room: int
) -> tuple[object, ...]:
    hasher = _hasher(client.session(handle), mechanism)
    if not fits(hasher.digest_size, room):
        return (hasher.digest_size,)
    hasher.update(data or b"")
    return (hasher.digest(),)


def digest(client: Client, handle: int, data: bytes | None, room: int) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        active = session.digest()
        try:
            refuse_parts(active)
        except Wrong:
            session.digesting = None
            raise
        if not fits(active.hasher.digest_size, room):
            return (active.hasher.digest_size,)
        active.hasher.update(data or b"")
        session.digesting = None
        return (active.hasher.digest(),)


def digest_update(client: Client, handle: int, part: bytes | None) -> None:
    session = client.session(handle)
    with session.lock:
        active = session.digest()
        active.streamed = True
        active.hasher.update(part or b"")


def digest_key(client: Client, handle: int, key: int) -> None:
    """The digest of a key's value tells of the key, so it may leave only where the key may."""
    session = client.session(handle)
    with session.lock:
        active = session.digest()
        try:
            shown = client.object(key, CKR.KEY_HANDLE_INVALID)
            if shown.cko != CKO.SECRET_KEY or shown.value(CKA.VALUE) is not SECRET:
                raise Wrong(CKR.KEY_INDIGESTIBLE)
            with client.gate.value(client.caller, key_of(shown)) as secret:
                active.streamed = True
                active.hasher.update(secret.view)
        except BaseException:
            session.digesting = None
            raise


def digest_final(client: Client, handle: int, room: int) -> tuple[object, ...]:
    session = client.session(handle)
    with session.lock:
        active = session.digest()
        if not fits(active.hasher.digest_size, room):
            return (active.hasher.digest_size,)
        session.digesting = None
        return (active.hasher.digest(),)


def seed_random(client: Client, handle: int, seed: bytes | None) -> None:
    """The kernel's generator needs none, and takes none from programs."""
    client.session(handle)


def generate_random(client: Client, handle: int, room: int) -> tuple[object, ...]:
    client.session(handle)
    if not room:
        raise Wrong(CKR.ARGUMENTS_BAD)
    if room == NULL:  # a buffer of no bytes
        return (b"",)
    if room > MOST_RANDOM:
        raise LimitExceeded(f"At most {MOST_RANDOM >> 20} MiB of random bytes at once.")
    return (os.urandom(room),)
