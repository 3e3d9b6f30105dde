"""What pyproject.toml says about keyholm, read once; and how a failure is told."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


class SetupFailed(Exception):
    """One sentence about what went wrong, one about the way out."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}\n{remedy}")


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    version: str
    summary: str
    requires_python: str
    requires: tuple[str, ...]
    scripts: tuple[tuple[str, str], ...]
    groups: dict[str, tuple[str, ...]]


def read_project(root: Path = ROOT) -> Project:
    document = tomllib.loads((root / "pyproject.toml").read_text())
    project = document["project"]
    return Project(
        name=project["name"],
        version=project["version"],
        summary=project["description"],
        requires_python=project["requires-python"],
        requires=tuple(project["dependencies"]),
        scripts=tuple(project["scripts"].items()),
        groups={name: tuple(items) for name, items in document["dependency-groups"].items()},
    )
