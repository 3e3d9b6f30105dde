"""The layers hold, and each way to break one is named by the tool that guards them."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A file to append to, the line, and what lint-imports must say of it.
VIOLATIONS = {
    "a door uses a store": (
        "doors/ssh_agent/__init__.py",
        "import keyholm.stores.memory",
        "keyholm.doors.ssh_agent -> keyholm.stores.memory",
    ),
    "a store uses a door": (
        "stores/memory/__init__.py",
        "import keyholm.doors.control",
        "keyholm.stores.memory -> keyholm.doors.control",
    ),
    "a door uses another door": (
        "doors/control/__init__.py",
        "import keyholm.doors.ssh_agent",
        "keyholm.doors.control -> keyholm.doors.ssh_agent",
    ),
    "a store uses another store": (
        "stores/disk/__init__.py",
        "import keyholm.stores.memory",
        "keyholm.stores.disk -> keyholm.stores.memory",
    ),
    "what the stores share uses a store": (
        "stores/software/__init__.py",
        "import keyholm.stores.disk",
        "keyholm.stores.software -> keyholm.stores.disk",
    ),
    "the words of PKCS#11 use a door": (
        "cryptoki/__init__.py",
        "import keyholm.doors.pkcs11",
        "keyholm.cryptoki -> keyholm.doors.pkcs11",
    ),
    "a worker uses a store": (
        "worker/__init__.py",
        "import keyholm.stores.memory",
        "keyholm.worker -> keyholm.stores.memory",
    ),
    "the core uses a door": (
        "core/errors.py",
        "import keyholm.doors",
        "keyholm.core.errors -> keyholm.doors",
    ),
    "the wire opens a socket": (
        "wire/codec.py",
        "import socket",
        "keyholm.wire.codec -> socket",
    ),
    "policy looks at the clock": (
        "core/policy.py",
        "import time",
        "keyholm.core.policy -> time",
    ),
    "a package that has no place": ("misc/__init__.py", "", "keyholm.misc"),
}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    return tmp_path


def test_the_layers_hold(tree: Path) -> None:
    outcome = lint_imports(tree)
    assert outcome.returncode == 0, outcome.stdout
    assert "4 kept, 0 broken" in outcome.stdout


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_each_planted_violation_is_named(tree: Path, violation: tuple[str, str, str]) -> None:
    file, line, named = violation
    path = tree / "src" / "keyholm" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as source:
        source.write(f"\n{line}\n")
    outcome = lint_imports(tree)
    assert outcome.returncode == 1
    assert named in " ".join(outcome.stdout.split())


def test_what_only_computes_is_guarded_as_soon_as_it_exists() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [pure] = [contract for contract in contracts["contracts"] if "forbidden_modules" in contract]
    src = ROOT / "src" / "keyholm"
    existing = {
        "keyholm." + name.replace("/", ".")
        for name in ("wire", "attestation", "core/policy")
        if (src / name).is_dir() or (src / f"{name}.py").is_file()
    }
    assert set(pure["source_modules"]) == existing


SLOW_TO_IMPORT = ("asyncio", "logging", "msgspec", "cryptography", "inspect", "dataclasses")


@pytest.mark.parametrize("command", ["list", "env", "status", "show", "lock", "sign", "version"])
def test_a_short_command_imports_nothing_that_is_slow(command: str) -> None:
    """Its own module, the parser and the client: what is loaded before anything is done."""
    program = f"""
import sys
sys.path[:0] = [{str(ROOT / "src")!r}]
import keyholm.cli.main, keyholm.client
keyholm.cli.main.parser_for([{command!r}])
print(*sorted(set({SLOW_TO_IMPORT}) & sys.modules.keys()))
"""
    isolated = [sys.executable, "-IS", "-c", program]
    done = subprocess.run(isolated, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == ""
