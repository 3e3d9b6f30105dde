"""The TPM store: one token, which is the TPM of this machine."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keyholm.core.errors import StoreFailed
from keyholm.core.policies import Policies
from keyholm.core.store import Event, Listener
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.folder import Folder
from keyholm.stores.tpm.keys import Keys
from keyholm.stores.tpm.token import STORE, PinOf, TpmToken, nobody


class TpmStore:
    name = STORE

    def __init__(
        self,
        folder: Path,
        device: Device,
        policies: Policies,
        *,
        owner: int | None = None,
        pin_of: PinOf = nobody,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`device` is closed with it. Raises `StoreFailed`, ..."""
        self._listeners: list[Listener] = []
        self._keys = Keys(device)
        self._closed = False
        owner = os.getuid() if owner is None else owner
        self.token = TpmToken(
            Folder(folder), self._keys, policies, owner, self._tell, pin_of, clock
        )

    def tokens(self) -> Sequence[TpmToken]:
        if self._closed:
            raise StoreFailed("The TPM store is closed.", remedy="Start keyholm again.")
        return (self.token,)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def close(self) -> None:
        self._closed = True
        self._keys.close()

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
