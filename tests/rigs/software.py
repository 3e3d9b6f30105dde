"""Modules that need nothing but files: SoftHSM 2, and NSS's softokn."""

import os
from pathlib import Path

from tests.rigs.rig import EC, RSA, Rig, library, make_keys, run
from tools.system_packages import LIBRARIES

SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", f"{LIBRARIES}/softhsm/libsofthsm2.so")
SOFTOKN = (f"{LIBRARIES}/libsoftokn3.so", f"{LIBRARIES}/nss/libsoftokn3.so")
PIN, SO_PIN = "123456", "87654321"


def softhsm_environment(folder: Path) -> dict[str, str]:
    """Of a SoftHSM whose tokens are in `folder`; it has none yet."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    return {"SOFTHSM2_CONF": str(configuration)}


def softhsm(folder: Path) -> Rig:
    path = library(*SOFTHSM)
    environment = softhsm_environment(folder)
    pins = ["--pin", PIN, "--so-pin", SO_PIN]
    run(
        "softhsm2-util", "--init-token", "--free", "--label", "soft", *pins, environment=environment
    )
    keys = {EC: "01", RSA: "02"}
    make_keys(path, PIN, keys, environment)
    return Rig("softhsm2", path, PIN, keys, environment)


def nss(folder: Path) -> Rig:
    path = library(*SOFTOKN)
    database = folder / "nssdb"
    database.mkdir(parents=True)
    where = ["-d", f"sql:{database}", "-f", str(folder / "pin")]
    (folder / "pin").write_text(PIN)
    (folder / "noise").write_bytes(os.urandom(64))
    run("certutil", "-N", *where)
    kinds = {EC: ["-k", "ec", "-q", "nistp256"], RSA: ["-k", "rsa", "-g", "2048"]}
    for number, (kind, how) in enumerate(kinds.items(), 1):
        # certutil keeps a key only with a certificate.
        named = ["-s", f"CN=nss {kind}", "-n", kind, "-m", str(number)]
        made = ["-S", "-x", "-t", ",,", "-z", str(folder / "noise"), *named, *how]
        run("certutil", *made, *where)
    listed = run("certutil", "-K", *where)
    keys = {line.split()[2]: line.split()[3] for line in listed.splitlines() if line[:1] == "<"}
    arguments = f"configdir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    return Rig("nss", path, PIN, keys, init_args=arguments)
