"""The TPM of this machine as a store, where there is one that we may use.

It is opened before the sandbox closes: after that no device can be opened any more.
"""

import os
from typing import Final

from keyholm.core.errors import KeyholmError
from keyholm.core.policies import Policies
from keyholm.daemon.configuration import TpmSettings
from keyholm.daemon.places import Places
from keyholm.stores.tpm.device import Device
from keyholm.stores.tpm.store import TpmStore

USUAL: Final = "/dev/tpmrm0"
NONE: Final = "none"


def device_of(settings: TpmSettings) -> Device | KeyholmError | None:
    """None: there is none, or nobody asked for the one that we may not use."""
    if settings.device == NONE:
        return None
    if not settings.device and not os.access(USUAL, os.R_OK | os.W_OK):
        return None
    try:
        return Device(settings.device or USUAL)
    except KeyholmError as error:
        return error


def store_of(places: Places, device: Device, policies: Policies) -> TpmStore | KeyholmError:
    """A TPM that fails takes no other key with it."""
    try:
        return TpmStore(places.data / "tpm", device, policies)
    except KeyholmError as error:
        device.close()
        return error
