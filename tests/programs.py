"""The foreign programs that tests use. Where one is missing, its test is skipped and says so."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of a program; sbin, where sshd is, is not on every user's PATH."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
