"""The PKCS#11 modules that are well known: how their files are called, and what each needs.

A line of `KNOWN` a module; where the needs depend on its configuration, a function of `needs_of`
reads that. `source` says where the facts are from: a manual, a header, or the library itself.
"""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from keyholm.daemon.vendors import linker, needs_of
from keyholm.daemon.vendors.needs import Here, Need, distinct, of_variables

# Below each folder of libraries.
SUBFOLDERS: Final = ("", "pkcs11", "softhsm", "nss", "opencryptoki", "p11-kit")


class Known(NamedTuple):
    name: str
    title: str
    files: tuple[str, ...]  # patterns of what its library is called
    needs: Callable[[Here], Iterator[Need]]
    source: str
    variables: tuple[str, ...] = ()  # that it reads
    folders: tuple[str, ...] = ()  # where its vendor installs it
    wants: Callable[[Here], str] = needs_of.satisfied  # what to give it; empty: nothing
    likely: Callable[[Here], bool] = needs_of.always  # whether to suggest it, where it is installed
    warning: str = ""


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "keyholm",
        "keyholm's own module (for keyholm-agent)",
        ("keyholm-pkcs11.*",),
        needs_of.keyholm,
        "docs/programs.md",
        ("KEYHOLM_PKCS11", "KEYHOLM_HOME", "XDG_RUNTIME_DIR", "KEYHOLM_VERBOSE"),
        likely=needs_of.never,
    ),
    Known(
        "opensc",
        "OpenSC (smartcards)",
        ("opensc-pkcs11.so", "onepin-opensc-pkcs11.so"),
        needs_of.opensc,
        "opensc.conf(5), pcscd(8)",
        ("OPENSC_CONF", "PCSCLITE_CSOCK_NAME"),
    ),
    Known(
        "ykcs11",
        "YubiKey PIV (ykcs11)",
        (
            "libykcs11.so",
            "libykcs11.so.*",
        ),
        needs_of.pcsc,
        "developers.yubico.com/yubico-piv-tool/YKCS11, pcscd(8)",
        ("PCSCLITE_CSOCK_NAME", "YKCS11_DBG"),
        likely=needs_of.has_readers,
        warning="OpenSC shows the same YubiKeys: add one of the two, or you see each key twice.",
    ),
    Known(
        "tpm2-pkcs11",
        "TPM 2.0 (tpm2-pkcs11)",
        (
            "libtpm2_pkcs11.so",
            "libtpm2_pkcs11.so.*",
        ),
        needs_of.tpm2,
        "tpm2-pkcs11's docs/PKCS11.md and docs/INITIALIZING.md, tpm2-tss's tcti pages",
        ("TPM2_PKCS11_STORE", "TPM2_PKCS11_TCTI", "TPM2_PKCS11_BACKEND", "TCTI"),
        likely=needs_of.has_tpm,
    ),
    Known(
        "softhsm2",
        "SoftHSM 2",
        ("libsofthsm2.so",),
        needs_of.softhsm,
        "softhsm2.conf(5)",
        ("SOFTHSM2_CONF",),
    ),
    Known(
        "nss",
        "NSS (Firefox's and Chromium's own keys)",
        ("libsoftokn3.so",),
        needs_of.nss,
        "NSS's pkcs11 module specs (nss-docs), lib/softoken/softoknt.h",
        wants=needs_of.nss_arguments,
        likely=needs_of.has_nss_keys,
    ),
    Known(
        "opencryptoki",
        "openCryptoki",
        ("libopencryptoki.so", "libopencryptoki.so.*", "PKCS11_API.so"),
        needs_of.opencryptoki,
        "opencryptoki.conf(5), pkcsslotd(8), strings of libopencryptoki 3.8",
        folders=("/usr/lib/opencryptoki", "/usr/lib64/opencryptoki"),
    ),
    Known(
        "yubihsm",
        "YubiHSM 2",
        ("yubihsm_pkcs11.so",),
        needs_of.yubihsm,
        "docs.yubico.com, YubiHSM 2 User Guide, PKCS#11",
        ("YUBIHSM_PKCS11_CONF",),
        wants=needs_of.yubihsm_configuration,
    ),
    Known(
        "cloudhsm",
        "AWS CloudHSM",
        ("libcloudhsm_pkcs11.so",),
        needs_of.cloudhsm,
        "AWS CloudHSM User Guide, PKCS #11 library for Client SDK 5",
        folders=("/opt/cloudhsm/lib",),
    ),
    Known(
        "luna",
        "Thales Luna",
        ("libCryptoki2_64.so", "libCryptoki2.so"),
        needs_of.luna,
        "Thales Luna HSM Client documentation, Configuration File Summary",
        ("ChrystokiConfigurationPath",),
        ("/usr/safenet/lunaclient/lib", "/usr/lunasa/lib"),
    ),
    Known(
        "nshield",
        "Entrust nShield",
        ("libcknfast.so",),
        needs_of.nshield,
        "nShield Cryptographic API Guide, PKCS #11 library environment variables",
        ("NFAST_HOME", "NFAST_KMDATA"),
        ("/opt/nfast/toolkits/pkcs11",),
    ),
    Known(
        "utimaco",
        "Utimaco CryptoServer",
        ("libcs_pkcs11_R2.so", "libcs_pkcs11_R3.so"),
        needs_of.utimaco,
        "Utimaco CryptoServer PKCS#11 R3 Developer Guide",
        ("CS_PKCS11_R2_CFG", "CS_PKCS11_R3_CFG"),
    ),
    Known(
        "safenet",
        "SafeNet and Thales tokens (eToken, IDPrime)",
        ("libeTPkcs11.so", "libeToken.so", "libeToken.so.*", "libIDPrimePKCS11.so"),
        needs_of.safenet,
        "SafeNet Authentication Client (Linux) Administrator Guide, pcscd(8)",
        ("PCSCLITE_CSOCK_NAME",),
        likely=needs_of.has_readers,
    ),
    Known(
        "google-kms",
        "Google Cloud KMS (libkmsp11)",
        ("libkmsp11.so",),
        needs_of.google_kms,
        "github.com/GoogleCloudPlatform/kms-integrations, kmsp11 user guide",
        ("KMS_PKCS11_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS"),
    ),
    Known(
        "aws-kms",
        "AWS KMS (aws-kms-pkcs11)",
        ("aws_kms_pkcs11.so",),
        needs_of.aws_kms,
        "github.com/JackOfMostTrades/aws-kms-pkcs11",
        ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"),
    ),
    Known(
        "kryoptic",
        "Kryoptic",
        ("libkryoptic_pkcs11.so",),
        needs_of.kryoptic,
        "github.com/latchset/kryoptic, README",
        ("KRYOPTIC_CONF",),
    ),
    Known(
        "scute",
        "Scute (cards of GnuPG)",
        ("scute.so", "libscute.so", "libscute.so.*"),
        needs_of.scute,
        "the Scute manual, gpg-agent(1)",
        ("GNUPGHOME",),
    ),
    Known(
        "gnome-keyring",
        "GNOME Keyring",
        ("gnome-keyring-pkcs11.so",),
        needs_of.gnome_keyring,
        "gnome-keyring-daemon(1)",
        ("GNOME_KEYRING_CONTROL",),
        likely=needs_of.never,
    ),
    Known(
        "p11-kit-client",
        "a p11-kit server, here or behind ssh",
        ("p11-kit-client.so",),
        needs_of.p11_kit_client,
        "p11-kit(8), server",
        ("P11_KIT_SERVER_ADDRESS",),
        likely=needs_of.never,
    ),
    Known(
        "p11-kit-trust",
        "p11-kit's trust store",
        ("p11-kit-trust.so",),
        needs_of.p11_kit_trust,
        "trust(1), pkcs11.conf(5)",
        likely=needs_of.never,
        warning="It holds certificates of authorities and no keys; programs have it from p11-kit.",
    ),
    Known(
        "pkcs11-spy",
        "pkcs11-spy (writes down every call)",
        ("pkcs11-spy.so",),
        needs_of.spy,
        "pkcs11-tool(1), OpenSC's wiki on pkcs11-spy",
        ("PKCS11SPY", "PKCS11SPY_OUTPUT"),
        likely=needs_of.never,
        warning="It writes PINs into its log.",
    ),
)

BY_NAME: Final = {each.name: each for each in KNOWN}


def of_file(path: str) -> Known | None:
    """Which module a library is, by what it or where it leads is called."""
    for name in (os.path.basename(path), os.path.basename(os.path.realpath(path))):
        for known in KNOWN:
            if any(fnmatchcase(name, pattern) for pattern in known.files):
                return known
    return None


def needs_of_module(path: str, here: Here) -> list[Need]:
    """All that the module should see, as far as we know."""
    known = of_file(path)
    if known is None:
        return distinct(of_variables(here))
    return distinct([*known.needs(here), *of_variables(here, known.variables)])


# --- installed here ------------------------------------------------------------------


class Installed(NamedTuple):
    known: Known
    path: str


def installed(here: Here, folders: Sequence[str] | None = None) -> list[Installed]:
    """Well-known modules that are on this machine, one path each. Nothing is loaded."""
    bases = linker.usual_folders() if folders is None else folders
    places = [os.path.join(base, below) for below in SUBFOLDERS for base in bases]
    found = []
    for known in KNOWN:
        path = next(_files(known, here, [*known.folders, *places]), "")
        if path:
            found.append(Installed(known, path))
    return found


def _files(known: Known, here: Here, folders: Sequence[str]) -> Iterator[str]:
    # libx.so before libx.so.1: the first is the name that stays when the package is updated.
    for pattern in known.files:
        for folder in folders:
            for path in sorted(glob.glob(os.path.join(glob.escape(here.real(folder)), pattern))):
                yield os.path.join(folder, os.path.basename(path))


def named(name: str, here: Here) -> str:
    """The library of a well-known module; empty where it is not installed or not known."""
    return next((each.path for each in installed(here) if each.known.name == name), "")


def name_for(path: str) -> str:
    """What a module is called if its user does not say: libacme-pkcs11.so.2 is acme."""
    known = of_file(path)
    if known is not None:
        return known.name
    stem = os.path.basename(path).partition(".so")[0].lower()
    stem = re.sub(r"^lib|[-_]?(pkcs11|p11|cryptoki)[-_]?", "-", stem)
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:32].strip("-") or "module"
