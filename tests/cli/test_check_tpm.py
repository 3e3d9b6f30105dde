"""What doctor says of the TPM."""

from pathlib import Path

import pytest

from keyholm.cli.checks.finding import GOOD, WARNING, Patient
from keyholm.cli.checks.tpm import tpm_may_be_used
from keyholm.daemon.places import Places


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    places = Places(tmp_path / "config.toml", tmp_path, tmp_path, False)
    return Patient(places, {}, None, (), None, False, 0.0)


def test_no_tpm_is_nothing_to_talk_about(patient: Patient, tmp_path: Path) -> None:
    assert list(tpm_may_be_used(patient, tmp_path / "tpmrm0")) == []


def test_a_tpm_that_may_not_be_used_comes_with_the_command(
    patient: Patient, tmp_path: Path
) -> None:
    device = tmp_path / "tpmrm0"
    device.touch()
    [good] = tpm_may_be_used(patient, device, lambda _: True)
    [bad] = tpm_may_be_used(patient, device, lambda _: False)
    assert (good.level, bad.level) == (GOOD, WARNING)
    assert "usermod -aG tss" in bad.remedy
