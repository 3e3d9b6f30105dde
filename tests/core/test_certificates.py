"""Certificates in files beside their keys: of SSH and of X.509."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.doors.pkcs11.house import certificate, pair

from keyholm.core.certificates import Certificates, Held
from keyholm.core.errors import BadCertificate, CertificateNotFound, StoreFailed

KEY = pair("p256")
OTHER = pair("p384")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


def look_again(certificates: Certificates) -> frozenset[str]:
    """As a second later."""
    certificates._look_again = 0.0
    certificates._folders.clear()
    return certificates.folders()


def test_an_x509_certificate_is_kept_beside_its_key(
    certificates: Certificates, tmp_path: Path
) -> None:
    assert certificates.folders() == frozenset()
    certificates.add(KEY, certificate(), "mine")
    assert (tmp_path / "certificates" / KEY.id / "mine.der").read_bytes() == certificate()
    assert certificates.x509_of(KEY) == (Held("mine", certificate()),)
    assert certificates.of(KEY) == ()  # the agent has no use for it
    assert certificates.folders() == {KEY.id}


def test_a_certificate_of_another_key_is_refused_and_changes_nothing(
    certificates: Certificates, tmp_path: Path
) -> None:
    for key, blob in ((OTHER, certificate()), (KEY, certificate() + b"\0"), (KEY, b"\x30")):
        with pytest.raises(BadCertificate):
            certificates.add(key, blob, "mine")
    assert not (tmp_path / "certificates").exists()


def test_it_is_for_a_key_that_ssh_has_no_words_for_too(certificates: Certificates) -> None:
    key = replace(KEY, ssh=None, spki=b"?")
    with pytest.raises(BadCertificate, match="another key"):
        certificates.add(key, certificate(), "mine")


def test_a_file_that_does_not_belong_is_left_out(
    certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / "certificates" / KEY.id
    folder.mkdir(parents=True)
    (folder / "good.der").write_bytes(certificate())
    (folder / "bad.der").write_bytes(b"\x30\x00")
    (folder / "long.der").write_bytes(bytes(100_000))
    (folder / "good.pem").write_bytes(certificate())
    assert certificates.x509_of(KEY) == (Held("good", certificate()),)


def test_one_that_is_replaced_is_seen(certificates: Certificates, tmp_path: Path) -> None:
    certificates.add(KEY, certificate(), "mine")
    before = certificates.folders()
    assert look_again(certificates) is before  # nothing has changed
    renewed = certificate("somebody", 4712)
    (tmp_path / "certificates" / KEY.id / "mine.der").write_bytes(renewed)
    assert look_again(certificates) is not before
    assert certificates.x509_of(KEY) == (Held("mine", renewed),)


def test_what_is_removed_is_gone(certificates: Certificates) -> None:
    certificates.add(KEY, certificate(), "mine")
    certificates.remove(KEY, "mine")
    assert certificates.x509_of(KEY) == ()
    look_again(certificates)
    assert certificates.x509_of(KEY) == ()
    with pytest.raises(CertificateNotFound):
        certificates.remove(KEY, "mine")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65])
def test_a_name_that_leads_elsewhere_is_refused(certificates: Certificates, name: str) -> None:
    with pytest.raises(BadCertificate):
        certificates.add(KEY, certificate(), name)


def test_without_a_home_there_are_none() -> None:
    nowhere = Certificates(None)
    assert nowhere.x509_of(KEY) == ()
    assert nowhere.folders() == frozenset()
    with pytest.raises(StoreFailed):
        nowhere.add(KEY, certificate(), "mine")
