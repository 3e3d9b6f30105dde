"""A home to write into, and modules that stand in for ours where one has to be loaded."""

import os
import pwd
from pathlib import Path
from typing import Final

import pytest

from keyholm.cli.module_file import module_file
from keyholm.cli.registration.ledger import Ledger, changes_of
from keyholm.cli.registration.target import Target, Wish

SOFTHSM: Final = "/usr/lib/softhsm/libsofthsm2.so"
STAND_INS: Final = (
    SOFTHSM,
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
)
NOBODY: Final = 65534


def some_module() -> str:
    """Any PKCS#11 module: for what is tested here it matters only that it loads."""
    found = [path for path in (module_file(), *STAND_INS) if path and os.path.exists(path)]
    if not found:
        pytest.skip("no PKCS#11 module is installed (softhsm2 or opensc)")
    return found[0]


def wish(home: Path, *, module: str = "/opt/keyholm-pkcs11.so", root: bool = False) -> Wish:
    return Wish(
        {"HOME": str(home), "PATH": os.environ["PATH"]},
        root,
        module=module,
        folder=str(home / "keyholm"),
        command="/opt/keyholm",
        agent="/run/user/1000/keyholm/ssh",
    )


def enable(target: Target, asked: Wish, name: str = "") -> Ledger:
    ledger = Ledger(Path(asked.home) / "data")
    ledger.make(name or target.name, changes_of(target.edits(asked)))
    return ledger


def disable(target: Target, ledger: Ledger, *, force: bool = False, name: str = "") -> list[str]:
    name = name or target.name
    return ledger.forget(name, ledger.undoing(name, force=force))


def files_in(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its permissions, but for the ledger."""
    return {
        str(path.relative_to(home)): (path.lstat().st_mode, path.read_bytes())
        for path in sorted(home.rglob("*"))
        if path.is_file() and "data" not in path.relative_to(home).parts[:1]
    }


def an_ordinary_user() -> dict[str, object]:
    """Arguments for `subprocess`: p11-kit does not look into root's home."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": pwd.getpwuid(NOBODY).pw_gid, "extra_groups": []}
