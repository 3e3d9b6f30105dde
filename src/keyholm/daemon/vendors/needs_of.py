"""What each well-known module needs, read from its own configuration where it has one.

`wants` functions say what must be given before the module can work at all: "sentence: options";
`likely` ones whether suggesting it makes sense on this machine.
"""

import glob
import os
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from keyholm.daemon.vendors.needs import (
    Here,
    Need,
    device,
    ipc,
    network,
    reads,
    socket,
    variable,
    writes,
)

# The folder, so that a daemon that was started again is found in it.
PCSCD: Final = "/run/pcscd"
PKCSSLOTD: Final = "/run/pkcsslotd.socket"
SYSTEM_BUS: Final = "/run/dbus/system_bus_socket"
TPM: Final = "/dev/tpmrm0"
SYSTEM_DAEMON: Final = "/run/keyholm/pkcs11"
ITS_SERVICE: Final = "its HSM or service is reached over the network"


def satisfied(here: Here) -> str:
    return ""


def always(here: Here) -> bool:
    return True


def never(here: Here) -> bool:
    return False


# --- keyholm itself ------------------------------------------------------------------


def keyholm(here: Here) -> Iterator[Need]:
    """The socket of the daemon whose keys it shows, as native/pkcs11 finds it."""
    runtime = here.env.get("XDG_RUNTIME_DIR", "") or f"/run/user/{os.geteuid()}"
    home = here.env.get("KEYHOLM_HOME", "")
    users = f"{home}/run/pkcs11" if home else f"{runtime}/keyholm/pkcs11"
    for path in (here.env.get("KEYHOLM_PKCS11", "") or users, SYSTEM_DAEMON):
        yield socket(path, "keyholm's keys are reached through its daemon")


# --- smartcards ----------------------------------------------------------------------


def pcsc(here: Here) -> Iterator[Need]:
    named = here.env.get("PCSCLITE_CSOCK_NAME", "")
    why = "PCSCLITE_CSOCK_NAME names it" if named else "readers are reached through pcscd"
    yield socket(named or PCSCD, why)


def opensc(here: Here) -> Iterator[Need]:
    yield from pcsc(here)
    if named := here.env.get("OPENSC_CONF", ""):
        yield reads(named, "OPENSC_CONF names it")
    else:
        yield reads("/etc/opensc", "its configuration")


def safenet(here: Here) -> Iterator[Need]:
    yield from pcsc(here)
    for path in ("/etc/eToken.conf", "/etc/eToken.common.conf"):
        if here.exists(path):
            yield reads(path, "its configuration")


def has_readers(here: Here) -> bool:
    return here.exists(PCSCD)


# --- TPM -----------------------------------------------------------------------------


def tpm2(here: Here) -> Iterator[Need]:
    yield from _tpm2_store(here)
    yield from _tcti(here, here.env.get("TPM2_PKCS11_TCTI") or here.env.get("TCTI", ""))
    if here.env.get("TPM2_PKCS11_BACKEND", "").startswith("fapi") or here.exists("/etc/tpm2-tss"):
        yield reads("/etc/tpm2-tss", "the configuration of its FAPI backend")


def _tpm2_store(here: Here) -> Iterator[Need]:
    own = here.home(".tpm2_pkcs11")
    if named := here.env.get("TPM2_PKCS11_STORE", ""):
        yield writes(named, "TPM2_PKCS11_STORE names it: its tokens")
    elif here.exists("/etc/tpm2_pkcs11"):
        yield writes("/etc/tpm2_pkcs11", "its tokens")
    elif own and here.is_folder(own):
        # The worker has no home, so it must be told.
        yield variable("TPM2_PKCS11_STORE", own, "its tokens are in your home")
        yield writes(own, "its tokens")


def _tcti(here: Here, given: str) -> Iterator[Need]:
    """tpm2-tss, tctildr: "name:configuration", both optional."""
    name, _, configuration = given.partition(":")
    settings = dict(part.partition("=")[::2] for part in configuration.split(","))
    if name in ("swtpm", "mssim") and "path" in settings:
        yield socket(settings["path"], "the TPM simulator listens there")
    elif name in ("swtpm", "mssim"):
        yield network("the TPM simulator is reached over TCP")
    elif name == "tabrmd" and settings.get("bus_type") == "session":
        bus = server_socket(here.env.get("DBUS_SESSION_BUS_ADDRESS", ""))
        yield socket(bus, "tpm2-abrmd is reached over the session bus")
    elif name == "tabrmd":
        yield socket(SYSTEM_BUS, "tpm2-abrmd is reached over the system bus")
    elif name == "device":
        yield device(configuration or TPM, "the TPM")
    elif not name:
        yield device(TPM, "the TPM")


def has_tpm(here: Here) -> bool:
    return here.exists(TPM)


# --- software ------------------------------------------------------------------------


def softhsm(here: Here) -> Iterator[Need]:
    own = here.home(".config/softhsm2/softhsm2.conf")
    named = here.env.get("SOFTHSM2_CONF", "")
    if named:
        path, why = named, "SOFTHSM2_CONF names it"
    elif own and here.exists(own):
        path, why = own, "its configuration in your home"
        yield variable("SOFTHSM2_CONF", own, "the worker has no home to find it in")
    else:
        path, why = "/etc/softhsm/softhsm2.conf", "its configuration"
    yield reads(path, why)
    yield writes(token_folder(here.read(path)), f"its tokens, as {os.path.basename(path)} says")


def token_folder(configuration: str) -> str:
    """`directories.tokendir` of a softhsm2.conf; empty: it names none."""
    for line in configuration.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "directories.tokendir":
            return os.path.normpath(value.strip()) if value.strip() else ""
    return ""


def kryoptic(here: Here) -> Iterator[Need]:
    named = here.env.get("KRYOPTIC_CONF") or here.home(".config/kryoptic/token.sql")
    if here.exists(named) or "KRYOPTIC_CONF" in here.env:
        yield reads(named, "its configuration")
        for path in re.findall(r'^\s*dbargs\s*=\s*"([^"]+)"', here.read(named), re.MULTILINE):
            yield writes(os.path.dirname(path), "its tokens")


CONFIGDIR: Final = re.compile(r"configdir=(?:'([^']*)'|\"([^\"]*)\"|(\S+))")


def nss(here: Here) -> Iterator[Need]:
    if folder := nss_folder(here.init_args):
        read_only = "readonly" in here.init_args.lower()
        need = reads if read_only else writes
        yield need(folder, "configdir names it: its database of keys")


def nss_folder(arguments: str) -> str:
    found = CONFIGDIR.search(arguments)
    named = next(filter(None, found.groups()), "") if found else ""
    return re.sub(r"^(sql|dbm|rdb|extern):", "", named)


def nss_arguments(here: Here) -> str:
    if nss_folder(here.init_args) or "nodb" in here.init_args.lower():
        return ""
    folder = here.home(".pki/nssdb") or "/etc/pki/nssdb"
    return f'It wants to be told where its database is: --init-args "{nss_string(folder)}"'


def nss_string(folder: str) -> str:
    return f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly"


def has_nss_keys(here: Here) -> bool:
    return here.exists(here.home(".pki/nssdb/key4.db") or "/none")


# --- daemons -------------------------------------------------------------------------


def opencryptoki(here: Here) -> Iterator[Need]:
    yield socket(PKCSSLOTD, "slots are handed out by pkcsslotd")
    yield ipc("its processes share memory")
    yield reads("/etc/opencryptoki", "its configuration")
    yield writes("/var/lib/opencryptoki", "its tokens")
    yield writes("/run/lock/opencryptoki", "its locks")
    # Not one file, since whoever comes first makes it: var.lib.opencryptoki.swtok, for example.
    yield writes("/dev/shm", "what its processes share of each token")  # noqa: S108
    if here.exists("/var/log/opencryptoki"):
        yield writes("/var/log/opencryptoki", "its log")


def scute(here: Here) -> Iterator[Need]:
    folder = here.env.get("GNUPGHOME") or here.home(".gnupg")
    runtime = here.environment.get("XDG_RUNTIME_DIR", "")
    own = os.path.join(runtime, "gnupg") if runtime and "GNUPGHOME" not in here.env else folder
    yield socket(os.path.join(own, "S.gpg-agent"), "cards are reached through gpg-agent")
    if folder and here.exists(folder):
        yield reads(os.path.join(folder, "pubring.kbx"), "certificates of its keys")


def gnome_keyring(here: Here) -> Iterator[Need]:
    runtime = here.environment.get("XDG_RUNTIME_DIR", "")
    control = here.env.get("GNOME_KEYRING_CONTROL") or (runtime and f"{runtime}/keyring")
    if control:
        yield socket(os.path.join(control, "pkcs11"), "its daemon has the keys")


def p11_kit_client(here: Here) -> Iterator[Need]:
    if address := here.env.get("P11_KIT_SERVER_ADDRESS", ""):
        yield socket(server_socket(address), "P11_KIT_SERVER_ADDRESS names it")
        return
    runtime = here.environment.get("XDG_RUNTIME_DIR", "")
    if runtime:
        path = os.path.join(runtime, "p11-kit", "pkcs11")
        yield variable("P11_KIT_SERVER_ADDRESS", f"unix:path={path}", "where it is by default")
        yield socket(path, "the server")


def server_socket(address: str) -> str:
    """The path of "unix:path=..."; empty for another kind."""
    kind, _, rest = address.partition(":")
    if kind != "unix":
        return ""
    return next((part[5:] for part in rest.split(",") if part.startswith("path=")), "")


def p11_kit_trust(here: Here) -> Iterator[Need]:
    for path in ("/etc/ca-certificates", "/etc/ssl/certs", "/etc/pki/ca-trust"):
        if here.exists(path):
            yield reads(path, "certificates of authorities")


def spy(here: Here) -> Iterator[Need]:
    if module := here.env.get("PKCS11SPY", ""):
        yield reads(module, "PKCS11SPY names it: the module behind")
    if log := here.env.get("PKCS11SPY_OUTPUT", ""):
        yield writes(os.path.dirname(log), "PKCS11SPY_OUTPUT is there")


# --- HSMs and services ---------------------------------------------------------------


def yubihsm(here: Here) -> Iterator[Need]:
    path = here.env.get("YUBIHSM_PKCS11_CONF", "")
    yield reads(path, "YUBIHSM_PKCS11_CONF names it")
    connector = next(iter(_settings(here.read(path), "connector")), "http://127.0.0.1:12345")
    if urlsplit(connector).scheme == "yhusb":
        yield device("/dev/bus/usb", "the configuration names a YubiHSM on USB")
    else:
        yield network(f"its connector is {connector}")
    for name in ("cacert", "cert", "key"):
        for value in _settings(here.read(path), name):
            yield reads(value, f"the configuration's {name}")
    for value in _settings(here.read(path), "debug-file"):
        yield writes(value, "its log")


def yubihsm_configuration(here: Here) -> str:
    if "YUBIHSM_PKCS11_CONF" in here.env:
        return ""
    return "It wants to be told of its configuration: --env YUBIHSM_PKCS11_CONF=/path/to/file"


def _settings(text: str, name: str) -> list[str]:
    return re.findall(rf'^\s*{name}\s*=\s*"?([^"\s#]+)"?', text, re.MULTILINE)


def cloudhsm(here: Here) -> Iterator[Need]:
    yield network(ITS_SERVICE)
    yield reads("/opt/cloudhsm/etc", "its configuration and certificates")
    if here.exists("/opt/cloudhsm/run"):
        yield writes("/opt/cloudhsm/run", "its log and its state")


def luna(here: Here) -> Iterator[Need]:
    yield network(ITS_SERVICE)
    folder = here.env.get("ChrystokiConfigurationPath", "")
    path = os.path.join(folder, "Chrystoki.conf") if folder else "/etc/Chrystoki.conf"
    yield reads(folder or path, "its configuration")
    for name in ("ServerCAFile", "ClientPrivKeyFile", "ClientCertFile"):
        for value in re.findall(rf"{name}\s*=\s*([^;\s]+)", here.read(path)):
            yield reads(os.path.dirname(value), f"{name} of its configuration is there")
    for pattern in ("/dev/lunauhd*", "/dev/viper*", "/dev/lunapci*"):
        if glob.glob(here.real(pattern)):
            yield device(pattern, "a Luna in this machine")


def nshield(here: Here) -> Iterator[Need]:
    home = here.env.get("NFAST_HOME", "/opt/nfast")
    yield socket(os.path.join(home, "sockets"), "its hardserver")
    data = here.env.get("NFAST_KMDATA") or os.path.join(home, "kmdata")
    yield writes(data, "its key management data")
    if here.exists(os.path.join(home, "cknfastrc")):
        yield reads(os.path.join(home, "cknfastrc"), "its configuration")


def utimaco(here: Here) -> Iterator[Need]:
    yield network(ITS_SERVICE)
    for name in ("CS_PKCS11_R3_CFG", "CS_PKCS11_R2_CFG"):
        if path := here.env.get(name, ""):
            yield reads(path, f"{name} names it")
    if here.exists("/etc/utimaco"):
        yield reads("/etc/utimaco", "its configuration")
    if glob.glob(here.real("/dev/cs2*")):
        yield device("/dev/cs2*", "a CryptoServer in this machine")


def google_kms(here: Here) -> Iterator[Need]:
    yield network(ITS_SERVICE)
    yield reads("/etc/ssl/certs", "to know the service by its certificate")
    for name in ("KMS_PKCS11_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS"):
        if path := here.env.get(name, ""):
            yield reads(path, f"{name} names it")


def aws_kms(here: Here) -> Iterator[Need]:
    yield network(ITS_SERVICE)
    yield reads("/etc/ssl/certs", "to know the service by its certificate")
    yield reads("/etc/aws-kms-pkcs11", "its configuration")
    for name, usual in (
        ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        ("AWS_CONFIG_FILE", ".aws/config"),
    ):
        path, own = here.env.get(name, ""), here.home(usual)
        if path:
            yield reads(path, f"{name} names it")
        elif own and here.exists(own):
            yield variable(name, own, "the worker has no home to find it in")
            yield reads(own, "who you are to the service")
