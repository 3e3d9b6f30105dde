"""What the TPM does with keys: make, take in, sign, decrypt. Each is one step under its lock.

A key is loaded for each use and goes right after it, with its parent: two objects at a time,
of the three that a TPM has room for.
"""

import hmac
from collections.abc import Callable
from typing import Final, TypeVar

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from keyholm.core.errors import KeyholmError, StoreFailed
from keyholm.core.model import KeyType
from keyholm.core.secret import Secret
from keyholm.stores.tpm import errors, pins, templates
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.parents import Parent
from keyholm.stores.tpm.session import Named, Session, encrypted_seed, is_lost
from keyholm.wire.codec import Bytes
from keyholm.wire.ssh.private_keys import Private
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import Refused, Sensitive
from keyholm.wire.tpm2.constants import ALG, HANDLE, HASHES, OBJECT, ST
from keyholm.wire.tpm2.kdf import kdfa
from keyholm.wire.tpm2.key_files import KeyFile, Kind
from keyholm.wire.tpm2.names import name_of, size_of
from keyholm.wire.tpm2.structures import (
    NO_CIPHER,
    NO_SCHEME,
    PcrSelection,
    Public,
    Scheme,
    Signature,
    Ticket,
)
from keyholm.wire.tpm2.types import write_sized

T = TypeVar("T")
Work = Callable[[Session, Named], T]
UNRESTRICTED: Final = Ticket(ST.HASHCHECK, HANDLE.NULL, b"")
PCRS: Final = PcrSelection(ALG.SHA256, frozenset(range(8)))  # those that an update changes
MOST_TRIES: Final = 2


class Keys:
    def __init__(self, device: Device) -> None:
        """Raises `StoreFailed`, ..."""
        self.device = device
        with device.lock:
            self._parent = Parent(device)
        self._session: Session | None = None

    @property
    def parent_name(self) -> bytes:
        """By which a TPM is known: another, or the same after it was cleared, has another."""
        return self._parent.name

    # --- making ------------------------------------------------------------------------

    def create(self, wanted: KeyType, pin: Secret | None = None) -> KeyFile:
        """Raises `AlgorithmUnsupported`, `PinUnsuitable`, `StoreFailed`, ..."""
        template = templates.template(wanted, pin=pin is not None)
        auth = _new_auth(pin)

        def work(session: Session, parent: Named) -> KeyFile:
            private, public, *_ = session.run(
                tpm.CREATE, (parent,), Sensitive(auth), template, b"", ()
            )
            if public.attributes != template.attributes or public.type is not template.type:
                raise errors.altered("the key that it made")
            return self._file(public, private, pin)

        return self._locked(work, "make a key")

    def take(self, private: Private, pin: Secret | None = None) -> KeyFile:
        """Import a key that was elsewhere: it can never say that it was not.

        Raises `AlgorithmUnsupported`, `BadKeyFile`, ..."""
        public, secret = templates.imported(private, pin=pin is not None)
        body = templates.sensitive(public, bytes(_new_auth(pin)), secret)
        try:
            duplicate, seed = _wrapped(self._parent.public, name_of(public), body)
        finally:
            body[:] = bytes(len(body))

        def work(session: Session, parent: Named) -> KeyFile:
            [inside] = session.run(tpm.IMPORT, (parent,), b"", public, duplicate, seed, NO_CIPHER)
            file = self._file(public, inside, pin)
            self._with(session, parent, file, lambda key: None)  # whether it is one at all
            return file

        return self._locked(work, "take in a key")

    def _file(self, public: Public, private: bytes, pin: Secret | None) -> KeyFile:
        return KeyFile(
            public,
            private,
            self._parent.in_files,
            empty_auth=pin is None,
        )

    # --- using -------------------------------------------------------------------------

    def sign(
        self, file: KeyFile, scheme: Scheme, digest: bytes, pin: Secret | None, label: str
    ) -> Signature:
        """Raises `PinIncorrect`, `PinLocked`, `LoginNeeded`, `StoreFailed`, ..."""

        def use(session: Session, key: Named) -> Signature:
            [signature] = session.run(
                tpm.SIGN, (key,), digest, scheme, UNRESTRICTED, pin=_auth(file, pin, label)
            )
            if signature.algorithm is not scheme.algorithm:
                raise errors.altered("the kind of its signature")
            found: Signature = signature
            return found

        return self._use(file, label, "sign", use)

    def raw(self, file: KeyFile, block: bytes, pin: Secret | None, label: str) -> bytes:
        """The bare private operation of RSA on one number, as long as the modulus."""

        def use(session: Session, key: Named) -> bytes:
            [result] = session.run(
                tpm.RSA_DECRYPT, (key,), block, NO_SCHEME, b"", pin=_auth(file, pin, label)
            )
            return bytes(result).rjust(len(block), b"\0")

        return self._use(file, label, "decrypt", use)

    def _use(self, file: KeyFile, label: str, doing: str, use: Callable[[Session, Named], T]) -> T:
        if file.kind not in (Kind.LOADABLE, Kind.OLD_LOADABLE) or file.policy or file.alternatives:
            raise StoreFailed(f"{label} has a policy or a form that keyholm does not use yet.")
        if file.parent != self._parent.in_files:
            raise StoreFailed(f"{label} is under another key of the TPM ({file.parent:#x}).")

        def work(session: Session, parent: Named) -> T:
            return self._with(session, parent, file, lambda key: use(session, key))

        return self._locked(work, doing, label)

    def _with(self, session: Session, parent: Named, file: KeyFile, use: Callable[[Named], T]) -> T:
        handle, name = session.run(tpm.LOAD, (parent,), file.private, file.public)
        try:
            if name != name_of(file.public):
                raise errors.altered("the name of a key")
            return use(Named(handle, name))
        finally:
            self.device.flush(handle)

    # --- the step ----------------------------------------------------------------------

    def _locked(self, work: Work[T], doing: str, label: str = "This key") -> T:
        with self.device.lock:
            for left in reversed(range(MOST_TRIES)):
                try:
                    with self._parent.loaded() as parent:
                        return work(self._session_of(parent), parent)
                except Refused as refused:
                    if not left or not is_lost(refused):
                        raise self._told(refused, doing, label) from refused
                    self._forget_session()
                except KeyholmError:
                    # Its nonces may be out of step with the TPM's.
                    self._forget_session()
                    raise
        raise AssertionError("the last try returns or raises")

    def _session_of(self, parent: Named) -> Session:
        if self._session is not None and not self._session.alive:
            self._forget_session()
        if self._session is None:
            self._session = Session(self.device, parent.handle, self._parent.public)
        return self._session

    def _forget_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _told(self, refused: Refused, doing: str, label: str) -> KeyholmError:
        about_pin = pins.refusal(refused.number, label, self.device)
        return about_pin or errors.refusal(refused.number, doing)

    # --- the machine -------------------------------------------------------------------

    def measurements(self) -> dict[int, bytes]:
        """PCRs 0 to 7 as they are now; those that this TPM has."""
        try:
            _, selections, values = self.device.run(tpm.PCR_READ, (), (PCRS,))
        except Refused:
            return {}
        read = [number for each in selections for number in sorted(each.pcrs)]
        return dict(zip(read, values, strict=False))

    def close(self) -> None:
        with self.device.lock:
            self._forget_session()
            self.device.close()


def has_pin(file: KeyFile) -> bool:
    return not file.empty_auth


def guarded(file: KeyFile) -> bool:
    """Whether the TPM counts wrong PINs of this key."""
    return not file.public.attributes & OBJECT.NODA


def _new_auth(pin: Secret | None) -> Bytes:
    if pin is None:
        return b""
    pins.check_new(pin)
    return pin.view


def _auth(file: KeyFile, pin: Secret | None, label: str) -> Bytes:
    if file.empty_auth:
        return b""
    if pin is None:
        raise pins.needed(label)
    return pin.view


def _wrapped(parent: Public, name: bytes, body: bytearray) -> tuple[bytes, bytes]:
    """A private key on its way to its parent: encrypted, bound to its name (Part 1, 23.3)."""
    algorithm = parent.name_algorithm
    seed, encrypted = encrypted_seed(parent, b"DUPLICATE")
    key = kdfa(algorithm, seed, b"STORAGE", name, b"", 128)
    # The IV is zero, since the key is made anew each time.
    encryptor = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    hidden = encryptor.update(body) + encryptor.finalize()
    mac_key = kdfa(algorithm, seed, b"INTEGRITY", b"", b"", 8 * size_of(algorithm))
    integrity = hmac.digest(mac_key, hidden + name, HASHES[algorithm])
    return write_sized(integrity) + hidden, encrypted
