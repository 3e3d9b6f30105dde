"""What a module that `ssh-add -s` names gets to see."""

from pathlib import Path

from keyholm.daemon.vendors.provider import spec_of


def test_a_well_known_module_gets_its_variables_and_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    environment = {"SOFTHSM2_CONF": str(configuration), "SECRET": "of the daemon"}
    spec = spec_of("/usr/lib/softhsm/libsofthsm2.so", environment)
    assert spec.name == "libsofthsm2.so"
    assert spec.env == {"SOFTHSM2_CONF": str(configuration)}
    assert str(configuration) in spec.reads
    assert f"{tmp_path}/tokens" in spec.writes
    assert not spec.network


def test_an_unknown_module_gets_nothing_of_the_environment() -> None:
    spec = spec_of("/usr/lib/somebody/their.so", {"SOFTHSM2_CONF": "/x", "PATH": "/bin"})
    assert (spec.env, spec.reads, spec.writes, spec.sockets) == ({}, (), (), ())
