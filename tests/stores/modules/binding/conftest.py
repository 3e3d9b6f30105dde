"""Real modules, each in a worker: SoftHSM2, NSS's softokn, OpenSC."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.stores.modules.binding import echo
from tests.stores.modules.binding.vendor import Session, Vendor
from tests.torture.rig import PIN, Tokens, softhsm

from keyholm.wire.pkcs11.constants import CKF
from native import build

LIBRARIES: Final = tuple(
    Path(folder)
    for folder in (
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    )
)


def library(*names: str, package: str) -> str:
    """The path of the first that is there."""
    for name in names:
        for folder in LIBRARIES:
            if (folder / name).exists():
                return os.fspath(folder / name)
    pytest.skip(f"{names[0]} (package {package}) is not installed")


@pytest.fixture(scope="module")
def softhsm_tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens.make(tmp_path_factory.mktemp("softhsm") / "one", ("one", "two"))


@pytest.fixture
def soft(softhsm_tokens: Tokens) -> Iterator[Vendor]:
    vendor = Vendor(softhsm(), env=softhsm_tokens.environment, writes=[softhsm_tokens.folder])
    yield vendor
    vendor.close()


@pytest.fixture
def session(soft: Vendor) -> Iterator[Session]:
    """With the token "one", logged in."""
    line = soft.line()
    slot = slot_of(soft, "one")
    opened = Session.open(line, slot, PIN.encode())
    yield opened
    line("CloseAllSessions", slot)


@pytest.fixture
def nss(tmp_path: Path) -> Iterator[Vendor]:
    folder = tmp_path
    path = library("libsoftokn3.so", "nss/libsoftokn3.so", package="libnss3")
    arguments = (
        f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='' "
        "flags=noModDB tokenDescription='NSS'"
    )
    vendor = Vendor(path, init_args=arguments, writes=[folder])
    yield vendor
    vendor.close()


@pytest.fixture(scope="session")
def echo_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return echo.module(tmp_path_factory.mktemp("echo"))
    except build.NoCompiler as error:
        pytest.skip(str(error))


def slot_of(vendor: Vendor, label: str) -> int:
    """The slot with the token of that label."""
    line = vendor.line()
    for slot in line("GetSlotList", 1, 64):
        told = line("GetTokenInfo", slot)
        if told[0] == label and told[4] & CKF.TOKEN_INITIALIZED:
            return int(slot)
    raise LookupError(label)
