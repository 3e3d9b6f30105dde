"""The project's own environments: made once, known by a stamp, never left half made."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools import editable, pip_wheel
from tools.project import ROOT, VENV, Project, SetupFailed, read_project

STAMP = "keyholm-stamp.json"
UNFINISHED = "keyholm-unfinished"


def ensure(*groups: str, folder: Path = VENV) -> Path:
    """An environment with keyholm and these groups of pyproject.toml in it; gives its Python."""
    project = read_project()
    with _alone():
        environment = Environment(folder)
        stamp = environment.wanted(project, groups)
        if not environment.has(stamp):
            environment.make(project, groups, stamp)
    return environment.python


@contextmanager
def _alone() -> Iterator[None]:
    """Two dev.py at once must not build into one folder."""
    handle = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Environment:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python3"
        self.stamp = folder / STAMP
        self.unfinished = folder / UNFINISHED

    def wanted(self, project: Project, groups: Sequence[str]) -> dict[str, str]:
        """What the stamp must say: where we are, on which Python, with what inside."""
        program = Path(editable.__file__).read_text()  # it decides what the scripts look like
        contents = {"keyholm": repr((project, program))}
        contents |= {group: repr(project.groups[group]) for group in groups}
        stamp = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
        # A distribution that replaces its Python leaves the link and takes the packages.
        return stamp | {"place": str(self.folder), "python": os.path.realpath(self.python)}

    def has(self, wanted: dict[str, str]) -> bool:
        return os.access(self.python, os.X_OK) and wanted.items() <= self.recorded().items()

    def recorded(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.stamp.read_text()))
        except (FileNotFoundError, ValueError):
            return {}

    def make(self, project: Project, groups: Sequence[str], wanted: dict[str, str]) -> None:
        self._drop_if_spoilt()
        fresh = not self.folder.exists()
        try:
            if fresh:
                self._create()
            for group in ("keyholm", *groups):
                if self.recorded().get(group) != wanted[group]:
                    self._add(project, group)
                    self._note({group: wanted[group]})
        except BaseException:
            if fresh:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _add(self, project: Project, group: str) -> None:
        ours = self.stamp.exists()
        if ours:
            # pip undoes what fails, but cannot undo what is killed.
            self.unfinished.touch()
        say(f"{self.folder.name}: {'what keyholm needs' if group == 'keyholm' else group}")
        self._pip_install(project.groups.get(group, project.requires))
        if group == "keyholm":
            editable.install(project, self.folder, self._site_packages())
        self.unfinished.unlink(missing_ok=True)

    def _drop_if_spoilt(self) -> None:
        """Half made by a run that was killed, moved here from elsewhere, or without its Python.

        A folder that carries neither of our two files was made by somebody else and is theirs.
        """
        stamp = self.recorded()
        elsewhere = stamp and (
            stamp.get("place") != str(self.folder)
            or stamp.get("python") != os.path.realpath(self.python)
            or not os.access(self.python, os.X_OK)
        )
        if self.unfinished.exists() or elsewhere:
            say(
                f"{self.folder.name}: made anew, it was unfinished, or moved, or its Python is gone"
            )
            shutil.rmtree(self.folder)

    def _create(self) -> None:
        say(f"{self.folder.name}: Python {sys.version.split()[0]}")
        self.folder.mkdir()
        self.unfinished.touch()
        # Inside an environment, the Python beneath it: ours must not hang on another's folder.
        base = getattr(sys, "_base_executable", sys.executable)
        run([base, "-m", "venv", "--without-pip", self.folder], "making the environment")
        self._put_pip_in(base)
        self._note({})

    def _put_pip_in(self, base: str) -> None:
        probe = subprocess.run([base, "-c", "import ensurepip"], capture_output=True)
        if probe.returncode == 0:
            run([self.python, "-Im", "ensurepip", "--default-pip"], "unpacking pip")
            return
        with tempfile.TemporaryDirectory() as folder:
            wheel = pip_wheel.obtain(Path(folder))
            # pip can be run from inside its own wheel.
            arguments = ["install", "--quiet", "--no-index", "--no-deps", wheel]
            run([self.python, wheel / "pip", *arguments], "installing pip")

    def _pip_install(self, requirements: Sequence[str]) -> None:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--prefer-binary"]
        command = [self.python, "-m", "pip", "install", *options, *requirements]
        run(command, f"installing {', '.join(requirements)}")

    def _site_packages(self) -> Path:
        program = "import sysconfig; print(sysconfig.get_path('purelib'))"
        return Path(run([self.python, "-c", program], "asking Python for its folders").strip())

    def _note(self, news: dict[str, str]) -> None:
        stamp = self.recorded() | news
        stamp |= {"place": str(self.folder), "python": os.path.realpath(self.python)}
        fresh = self.stamp.with_suffix(".new")
        fresh.write_text(json.dumps(stamp, indent=1))
        fresh.replace(self.stamp)


def run(command: Sequence[object], doing: str) -> str:
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise SetupFailed(
            f"This failed while {doing}:\n  " + "\n  ".join(said),
            remedy="See above. Nothing half made is left; run the same command again when it is "
            "mended.",
        )
    return done.stdout


def say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)
