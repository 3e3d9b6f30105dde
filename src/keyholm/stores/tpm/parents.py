"""The key of the TPM that ours are under: the owner's primary key by the H-2 template.

A primary key follows from its template and the TPM's seed, so it can be made again at any time
and is always the same, until the TPM is cleared. Making it takes long on real TPMs: it is made
once, saved (encrypted by the TPM) and loaded for each use. Where 0x81000001 is that very key, or
the owner has a password so that none can be made, that is taken.
"""

import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from keyholm.core.errors import StoreFailed
from keyholm.stores.tpm import errors
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.session import Named
from keyholm.wire.tpm2 import commands as tpm
from keyholm.wire.tpm2.commands import Authorization, Refused, Sensitive, parameters_of
from keyholm.wire.tpm2.constants import ALG, HANDLE, OBJECT, SESSION
from keyholm.wire.tpm2.names import name_of
from keyholm.wire.tpm2.responses import RC, response
from keyholm.wire.tpm2.structures import AES_128_CFB, Context, EccParameters, Point, Public

PERSISTENT: Final = 0x81000001
TEMPLATE: Final = Public(
    ALG.SHA256,
    OBJECT.FIXEDTPM
    | OBJECT.FIXEDPARENT
    | OBJECT.SENSITIVEDATAORIGIN
    | OBJECT.USERWITHAUTH
    | OBJECT.NODA
    | OBJECT.RESTRICTED
    | OBJECT.DECRYPT,
    b"",
    EccParameters(AES_128_CFB),
    Point(),
)
_NO_PASSWORD: Final = Authorization(HANDLE.PASSWORD, b"", SESSION.CONTINUESESSION, b"")


class Primary(NamedTuple):
    handle: int
    public: Public


def create_primary(device: Device, template: Public = TEMPLATE) -> Primary:
    """In the owner's hierarchy, which has no password. It holds a place until it is flushed."""
    parameters = parameters_of(tpm.CREATE_PRIMARY, Sensitive(), template, b"", ())
    answer = device.send(tpm.CREATE_PRIMARY, (HANDLE.OWNER,), parameters, (_NO_PASSWORD,))
    public, *_, name = device.results(tpm.CREATE_PRIMARY, answer.parameters)
    if answer.handle is None or name != name_of(public):
        raise errors.altered("the name of the owner's key")
    if _without_unique(public) != _without_unique(template):
        raise errors.altered("the owner's key")
    return Primary(answer.handle, public)


def _without_unique(public: Public) -> tuple[object, ...]:
    return public.name_algorithm, public.attributes, public.policy, public.parameters


class Parent:
    """The device's lock is held by whoever uses it."""

    def __init__(self, device: Device) -> None:
        """Raises `StoreFailed`, ..."""
        self._device = device
        self._saved: Context | None = None
        persistent = self._read_persistent()
        try:
            handle, self.public = create_primary(device)
        except Refused as refused:
            if persistent is None or response(refused.number).code not in _OWNED:
                raise _no_parent(refused) from refused
            self.public, self.in_files, self._persistent = persistent, PERSISTENT, True
        else:
            self.in_files = HANDLE.OWNER
            self._persistent = persistent is not None and name_of(persistent) == name_of(
                self.public
            )
            self._save(handle)
        self.name = name_of(self.public)

    def _read_persistent(self) -> Public | None:
        try:
            public, *_ = self._device.run(tpm.READ_PUBLIC, (PERSISTENT,))
        except Refused:
            return None
        is_ours = _without_unique(public) == _without_unique(TEMPLATE)
        return public if is_ours else None

    def _save(self, handle: int) -> None:
        if not self._persistent:
            [self._saved] = self._device.run(tpm.CONTEXT_SAVE, (handle,))
        self._device.flush(handle)

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Named]:
        """Raises `Refused`."""
        if self._persistent:
            yield Named(PERSISTENT, self.name)
            return
        handle = self._load()
        try:
            yield Named(handle, self.name)
        finally:
            self._device.flush(handle)

    def _load(self) -> int:
        # After a sleep, or a new start of the TPM, what was saved before is worth nothing.
        with contextlib.suppress(Refused):
            [handle] = self._device.run(tpm.CONTEXT_LOAD, (), self._saved)
            return int(handle)
        handle, public = create_primary(self._device)
        if public != self.public:
            self._device.flush(handle)
            raise StoreFailed(
                "This TPM is not the one that it was: it was cleared, or exchanged.",
                remedy="Its keys are gone with what it was. Start keyholm again to make new ones.",
            )
        [self._saved] = self._device.run(tpm.CONTEXT_SAVE, (handle,))
        return handle


_OWNED: Final = frozenset({RC.AUTH_FAIL, RC.BAD_AUTH, RC.AUTH_UNAVAILABLE, RC.HIERARCHY})


def _no_parent(refused: Refused) -> Exception:
    if response(refused.number).code not in _OWNED:
        return errors.refusal(refused.number, "make the key that all others are under")
    return StoreFailed(
        "The owner of this TPM has a password, and keyholm cannot make its key there"
        f" ({response(refused.number)}).",
        remedy="Keep the key of the H-2 template at 0x81000001, or take the password away"
        " (tpm2_changeauth -c owner).",
    )
