""".venv is made once, and an unlucky start leaves nothing in the way of the next."""

import base64
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tools.environment import UNFINISHED, Environment
from tools.project import Project, SetupFailed, read_project

from keyholm.version import VERSION
from native import build
from tools import editable

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = read_project()

NOTHING_TO_FETCH = Project(
    name="keyholm",
    version="7",
    summary="",
    requires_python=">=3.11",
    requires=("pip",),
    scripts=(("keyholm", "keyholm.cli.main:main"),),
    groups={"test": ("pip",), "absent": ("no-such-package @ file:///nowhere",)},
)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once") / "environment"
    make_again(Environment(folder))
    return folder


@pytest.fixture
def made(once: Path, tmp_path: Path) -> Environment:
    """An environment as `ensure` leaves it; a copy, because making one takes seconds."""
    environment = Environment(tmp_path / "environment")
    shutil.copytree(once, environment.folder, symlinks=True)
    for file in (environment.stamp, environment.folder / "bin" / "keyholm"):
        file.write_text(file.read_text().replace(str(once), str(environment.folder)))
    return environment


def inode(environment: Environment) -> int:
    return environment.folder.stat().st_ino


def make_again(environment: Environment, *groups: str) -> None:
    environment.make(NOTHING_TO_FETCH, groups, environment.wanted(NOTHING_TO_FETCH, groups))


def test_a_second_run_finds_everything_done(made: Environment) -> None:
    assert made.has(made.wanted(NOTHING_TO_FETCH, ()))


def test_another_group_is_added_to_what_is_there(made: Environment) -> None:
    before = inode(made)
    assert not made.has(made.wanted(NOTHING_TO_FETCH, ("test",)))
    make_again(made, "test")
    assert made.has(made.wanted(NOTHING_TO_FETCH, ("test",)))
    assert inode(made) == before


def test_a_failed_first_installation_leaves_no_environment(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    with pytest.raises(SetupFailed, match="no-such-package"):
        make_again(environment, "absent")
    assert not environment.folder.exists()


def test_a_failed_addition_leaves_the_environment_as_it_was(made: Environment) -> None:
    with pytest.raises(SetupFailed):
        make_again(made, "absent")
    assert made.has(made.wanted(NOTHING_TO_FETCH, ()))


def test_what_a_killed_run_left_is_made_anew(made: Environment) -> None:
    made.unfinished.touch()
    (made.folder / "half").touch()
    make_again(made)
    assert not made.unfinished.exists()
    assert not (made.folder / "half").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(made: Environment) -> None:
    made.python.unlink()
    made.python.symlink_to("/nowhere/python3")
    make_again(made)
    assert made.has(made.wanted(NOTHING_TO_FETCH, ()))


def test_an_environment_that_was_moved_is_made_anew(made: Environment) -> None:
    moved = Environment(made.folder.with_name("moved"))
    made.folder.rename(moved.folder)
    assert not moved.has(moved.wanted(NOTHING_TO_FETCH, ()))
    make_again(moved)
    assert str(moved.folder) in (moved.folder / "bin" / "keyholm").read_text()


def test_somebody_elses_environment_is_used_and_kept(made: Environment) -> None:
    made.stamp.unlink()
    before = inode(made)
    (made.folder / "theirs").touch()
    make_again(made)
    assert inode(made) == before
    assert (made.folder / "theirs").exists()
    assert not (made.folder / UNFINISHED).exists()


def test_the_installed_tree_tells_the_truth_about_itself(once: Path) -> None:
    [site_packages] = once.glob("lib/python*/site-packages")
    [keyholm] = importlib.metadata.distributions(name="keyholm", path=[str(site_packages)])
    assert keyholm.version == "7"
    assert keyholm.requires == ["pip"]
    assert [entry.value for entry in keyholm.entry_points] == ["keyholm.cli.main:main"]
    origin = json.loads(keyholm.read_text("direct_url.json") or "")
    assert origin == {"url": ROOT.as_uri(), "dir_info": {"editable": True}}
    for file in keyholm.files or ():
        content = Path(str(file.locate())).read_bytes()
        if file.hash:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
            assert file.hash.value == digest.rstrip(b"=").decode()


def test_pip_can_take_the_installed_tree_out_again(tmp_path: Path) -> None:
    made = Environment(tmp_path / "environment")
    make_again(made)
    uninstall = [str(made.python), "-m", "pip", "uninstall", "-q", "-y", "keyholm"]
    subprocess.run(uninstall, check=True, capture_output=True)
    assert not (made.folder / "bin" / "keyholm").exists()
    assert not list(made.folder.glob("lib/python*/site-packages/keyholm*"))


@pytest.mark.parametrize("name", ["plain", "with a space", "long" * 40])
def test_a_script_starts_wherever_the_tree_lies(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python3").symlink_to(sys.executable)
    script = folder / "bin" / "script"
    python = folder / "bin" / "python3"
    script.write_text(editable.first_line(python) + "\nimport sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)
    done = subprocess.run([script, "a b", "c"], text=True, capture_output=True, check=True)
    assert done.stdout == "['a b', 'c']\n"


def test_the_package_and_its_metadata_name_one_version() -> None:
    assert PROJECT.version == VERSION


@pytest.mark.skipif(not build.system_compiler(), reason="no C compiler for the native module")
def test_the_wheel_holds_the_whole_package_and_nothing_else(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "native", tree / "native")
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py"):
        shutil.copy(ROOT / name, tree)
    program = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=tree,
        text=True,
        capture_output=True,
        check=True,
    )
    wheel = zipfile.ZipFile(tmp_path / built.stdout.split()[-1])
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {str(path.relative_to(tree / "src")) for path in (tree / "src").rglob("*.py")}
    assert names == sources | {f"keyholm/_native/{build.file_here()}"}
    assert wheel.filename is not None
    assert wheel.filename.endswith(f"-py3-none-{build.platform_here()}.whl")
    [entries] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entries).decode()
    assert all(f"{name} = {target}" in text for name, target in PROJECT.scripts)
