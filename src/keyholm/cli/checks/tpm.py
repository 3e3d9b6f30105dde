"""Is there a TPM, and may its keys be used?"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from keyholm.cli.checks.finding import GOOD, WARNING, Finding, Patient

DEVICE: Final = Path("/dev/tpmrm0")
JOIN: Final = "sudo usermod -aG tss $USER  (then log in again)"


def _may(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def tpm_may_be_used(
    _: Patient, device: Path = DEVICE, may: Callable[[Path], bool] = _may
) -> Iterator[Finding]:
    if not device.exists():
        return  # most machines that have none cannot get one
    if may(device):
        yield Finding(GOOD, "tpm", f"There is a TPM at {device}, and it may be used.")
        return
    what = f"There is a TPM at {device}, and you may not use it."
    yield Finding(WARNING, "tpm", what, "Keys in it could not be stolen from this machine.", JOIN)
