"""Move the fragments of changes/ into CHANGELOG.md under a version: at a release, once.

python3 -m tools.changelog 0.1.0 2026-11-24
"""

import sys
from pathlib import Path

from tools.project import ROOT

KINDS = ("security", "added", "changed", "fixed")
# New versions are written below this.
HEAD = (
    "# Changelog\n\nWhat is in the next release lies in [changes/](changes/), one file a change.\n"
)


def fragments(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        kind = path.suffixes[-2][1:] if len(path.suffixes) == 2 else ""
        if kind not in found:
            raise SystemExit(f"{path.name}: the name is SLUG.KIND.md, KIND one of {KINDS}")
        found[kind].append(path)
    return found


def section(version: str, date: str, found: dict[str, list[Path]]) -> str:
    lines = [f"\n## {version}, {date}\n"]
    for kind, paths in found.items():
        if paths:
            lines.append(f"\n### {kind.capitalize()}\n\n")
            lines += [f"- {' '.join(path.read_text().split())}\n" for path in paths]
    return "".join(lines)


def release(root: Path, version: str, date: str) -> None:
    found = fragments(root / "changes")
    changelog = root / "CHANGELOG.md"
    older = changelog.read_text().removeprefix(HEAD)
    changelog.write_text(HEAD + section(version, date, found) + older)
    for paths in found.values():
        for path in paths:
            path.unlink()


if __name__ == "__main__":
    release(ROOT, *sys.argv[1:])
