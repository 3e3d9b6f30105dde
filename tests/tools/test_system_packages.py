"""Packages are known by what they bring, and installing one starts nothing."""

import os
import subprocess
from pathlib import Path

from tools import system_packages


def test_a_package_is_known_by_its_program_or_its_file(tmp_path: Path) -> None:
    package = system_packages.Package("shell", "sh", "")
    assert package.is_here()
    assert not system_packages.Package("none", "no-such-program", "").is_here()
    assert not system_packages.Package("none", str(tmp_path / "absent"), "").is_here()
    assert system_packages.Package("some", str(tmp_path), "").is_here()


def test_installing_starts_no_service_and_leaves_no_policy_behind(tmp_path: Path) -> None:
    """The real script, in a tree of its own, with a contract fake for apt-get."""
    (tmp_path / "apt-get").write_text(
        f'#!/bin/sh\n{tmp_path}/policy-rc.d ssh start; echo "$@: policy $?" >> {tmp_path}/said\n'
    )
    (tmp_path / "apt-get").chmod(0o755)
    script = system_packages.APT_GET.replace("/usr/sbin/policy-rc.d", f"{tmp_path}/policy-rc.d")
    script = script.replace("/run/systemd/system", str(tmp_path / "absent"))
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script, "apt", "openssh-server"], env=environ, check=True)
    assert (tmp_path / "said").read_text() == (
        "-qq update: policy 101\n"
        "-qq -y install --no-install-recommends openssh-server: policy 101\n"
    )
    assert not (tmp_path / "policy-rc.d").exists()
