"""OpenSC where there is no reader: it is loaded, and says that nothing is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores.modules.binding.conftest import library
from tests.stores.modules.binding.vendor import Vendor

from keyholm.wire.pkcs11.constants import CKF, CKR


@pytest.fixture
def opensc(tmp_path: Path) -> Iterator[Vendor]:
    path = library("opensc-pkcs11.so", "pkcs11/opensc-pkcs11.so", package="opensc-pkcs11")
    # A socket of nobody's: whatever readers this machine has are not for a test.
    nobodys = {"PCSCLITE_CSOCK_NAME": str(tmp_path / "pcscd.comm"), "HOME": str(tmp_path)}
    vendor = Vendor(path, env=nobodys, writes=[tmp_path])
    yield vendor
    vendor.close()


def test_there_is_no_slot_and_no_event(opensc: Vendor) -> None:
    assert opensc.info.manufacturer == "OpenSC Project"
    line = opensc.line()
    assert line("GetSlotList", 0, 0) == 0
    assert line("GetSlotList", 0, 10) == ()
    assert line.status("GetTokenInfo", 0) == CKR.SLOT_ID_INVALID
    assert line.status("WaitForSlotEvent", CKF.DONT_BLOCK) == CKR.NO_EVENT
    assert line.status("OpenSession", 0, CKF.SERIAL_SESSION) == CKR.SLOT_ID_INVALID


def test_calls_of_3_0_that_it_has_not_are_its_own_to_refuse(opensc: Vendor) -> None:
    assert opensc.info.interface_version >= (3, 0)
    refused = opensc.line().status("LoginUser", 1, 1, b"1234", b"name")
    assert refused in (CKR.FUNCTION_NOT_SUPPORTED, CKR.SESSION_HANDLE_INVALID)
