"""The modules that other tests run through keyholm work by themselves, so that a failure is ours."""

import os

import pytest
from tests.interop.conftest import Home
from tests.rigs import software
from tests.rigs.opencryptoki import opencryptoki
from tests.rigs.rig import EC, RSA, Rig
from tests.rigs.tpm import tpm2

pytestmark = pytest.mark.interop


def sign(home: Home, rig: Rig, *before: str) -> None:
    data = home.folder / "data"
    data.write_bytes(bytes(range(32)))
    for kind, name in rig.keys.items():
        how = {EC: "ECDSA", RSA: "RSA-PKCS"}[kind]
        tool = [*before, "pkcs11-tool", "--module", rig.path, "--login", "--pin", rig.pin]
        files = ["-i", str(data), "-o", str(home.folder / kind)]
        home.run(*tool, "--sign", "-m", how, "--id", name, *files)
        assert os.path.getsize(home.folder / kind) == {EC: 64, RSA: 256}[kind]


def test_softhsm_signs(home: Home) -> None:
    rig = software.softhsm(home.folder / "soft")
    home.environment |= rig.environment
    sign(home, rig)


def test_nss_has_both_keys(home: Home) -> None:
    """pkcs11-tool cannot start it: it wants an argument."""
    assert set(software.nss(home.folder / "nss").keys) == {EC, RSA}


def test_the_tpm_signs(home: Home) -> None:
    with tpm2(home.folder / "tpm") as rig:
        home.environment |= rig.environment
        sign(home, rig)


def test_opencryptoki_signs(home: Home) -> None:
    with opencryptoki(home.folder / "ock") as room:
        sign(home, room.rig, *room.words)
