"""What certain modules do otherwise than the standard says, and what their init codes mean.

Each is told by the file name of its library, since some speak of themselves only once they are
initialised. One line a module; what is not here is taken to follow the standard.
"""

import re
from dataclasses import dataclass
from typing import Final

from keyholm.wire.pkcs11.constants import CKR


@dataclass(frozen=True, slots=True)
class Quirk:
    name: str
    library: re.Pattern[str]
    # What C_Initialize means by its codes: a sentence, and the way out.
    init: dict[int, tuple[str, str]]
    # Tokens that hold no keys and never will, by their label.
    hides: re.Pattern[str] | None = None


def _library(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_PCSCD: Final = "Start pcscd (`systemctl start pcscd.socket`), and let its socket be in `sockets`."

QUIRKS: Final[tuple[Quirk, ...]] = (
    Quirk(
        "SoftHSM2",
        _library(r"libsofthsm2?\.so"),
        {
            CKR.GENERAL_ERROR: (
                "SoftHSM2 cannot read its configuration, or the folder of tokens that it names",
                "Name the file by `env.SOFTHSM2_CONF`, and let it be in `reads` and the folder "
                "`directories.tokendir` in `writes`; /etc/softhsm/softhsm2.conf is for the group "
                "`softhsm` only.",
            ),
        },
    ),
    Quirk(
        "NSS",
        _library(r"libsoftokn3\.so"),
        {
            CKR.ARGUMENTS_BAD: (
                "NSS wants to be told where its database is",
                "Set `init_args`, such as \"configdir='sql:/home/me/.pki/nssdb' certPrefix='' "
                "keyPrefix='' secmod='' flags=\", and let the folder be in `writes`.",
            ),
            CKR.DEVICE_ERROR: (
                "NSS cannot open its database",
                "Check the folder in `init_args` (`configdir=`), and that it is in `writes`.",
            ),
        },
        # A token for hashes and public keys, which has no place for a key.
        hides=re.compile("NSS Generic Crypto Services"),
    ),
    Quirk(
        "openCryptoki",
        _library(r"(libopencryptoki|PKCS11_API)\.so"),
        {
            CKR.FUNCTION_FAILED: (
                "openCryptoki does not reach its daemon pkcsslotd",
                "Start it (`systemctl start pkcsslotd`), be in the group `pkcs11`, and set "
                "`ipc = true`.",
            ),
        },
    ),
    Quirk(
        "tpm2-pkcs11",
        _library(r"libtpm2_pkcs11\.so"),
        {
            CKR.GENERAL_ERROR: (
                "tpm2-pkcs11 cannot use its store, or the TPM",
                "Name the folder by `env.TPM2_PKCS11_STORE` and let it be in `writes`; let "
                "/dev/tpmrm0 be in `devices`, or name a TCTI by `env.TPM2_PKCS11_TCTI`.",
            ),
        },
    ),
    Quirk(
        "OpenSC",
        _library(r"opensc-pkcs11\.so"),
        {CKR.DEVICE_ERROR: ("OpenSC does not reach pcscd", _PCSCD)},
    ),
    Quirk(
        "YKCS11",
        _library(r"libykcs11\.so"),
        {CKR.FUNCTION_FAILED: ("YKCS11 does not reach pcscd", _PCSCD)},
    ),
)
NONE: Final = Quirk("", re.compile(""), {})
# Where the module has no sentence of its own.
_INIT: Final[dict[int, tuple[str, str]]] = {
    CKR.GENERAL_ERROR: (
        "it does not say why; most often its configuration file is missing or wrong",
        "Give it what its manual names: `env`, `reads`, `writes`.",
    ),
    CKR.FUNCTION_FAILED: (
        "it does not say why; most often its daemon does not run, or its socket is not shown",
        "Start its daemon, and let its socket be in `sockets`.",
    ),
    CKR.ARGUMENTS_BAD: (
        "it wants to be told something at its start",
        "Its manual says what; `init_args` is where it goes.",
    ),
    CKR.HOST_MEMORY: ("it ran out of memory", "`memory_mib` gives it more."),
    CKR.CANT_LOCK: ("it wants locks that we do not have", "Report it."),
    CKR.NEED_TO_CREATE_THREADS: ("it wants threads that it may not make", "Report it."),
}


def of(library: str) -> Quirk:
    """By the file that a module is in."""
    name = library.rpartition("/")[2]
    return next((quirk for quirk in QUIRKS if quirk.library.match(name)), NONE)


def init_meaning(quirk: Quirk, code: int) -> tuple[str, str]:
    """What C_Initialize means by `code`, and what to do."""
    usual = ("it does not say why", "Its manual may know the code.")
    return quirk.init.get(code) or _INIT.get(code) or usual
