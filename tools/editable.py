"""Put the working tree into an environment without building anything.

keyholm is pure Python: a path file, two scripts and honest metadata are all that an editable
install is. Writing them takes no build backend from the network and no second, and the
scripts may skip what costs a short command most of its time, the import of `site`.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tools.project import ROOT, Project

# What a kernel reads of a first line; longer, or with a space, and it takes the wrong program.
LONGEST_SHEBANG = 120

# -I: nothing from the caller's environment or folder is imported into a program that holds
# keys. -S: no site; the two folders it would have found are written down instead.
SCRIPT = """\
{first_line}
import sys

sys.path += {paths!r}

from {module} import {function}

sys.exit({function}())
"""


def install(project: Project, environment: Path, site_packages: Path) -> None:
    # The .pth serves `python -m keyholm...` and the tests, the scripts serve everyone else.
    written = {
        site_packages / f"{project.name}.pth": f"{ROOT / 'src'}\n",
        **dict(_metadata(project, site_packages)),
        **dict(_scripts(project, environment, site_packages)),
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.parent == environment / "bin":
            path.chmod(0o755)
    _record(project, site_packages, written)


def _metadata(project: Project, site_packages: Path) -> Iterator[tuple[Path, str]]:
    folder = _dist_info(project, site_packages)
    head = {
        "Metadata-Version": "2.4",
        "Name": project.name,
        "Version": project.version,
        "Summary": project.summary,
        "Requires-Python": project.requires_python,
    }
    lines = [f"{key}: {value}" for key, value in head.items()]
    lines += [f"Requires-Dist: {requirement}" for requirement in project.requires]
    yield folder / "METADATA", "\n".join([*lines, ""])
    yield folder / "INSTALLER", "keyholm-dev\n"
    entries = [f"{name} = {target}" for name, target in project.scripts]
    yield folder / "entry_points.txt", "\n".join(["[console_scripts]", *entries, ""])
    origin = {"url": ROOT.as_uri(), "dir_info": {"editable": True}}
    yield folder / "direct_url.json", json.dumps(origin)


def _scripts(
    project: Project, environment: Path, site_packages: Path
) -> Iterator[tuple[Path, str]]:
    for name, target in project.scripts:
        module, function = target.split(":")
        yield (
            environment / "bin" / name,
            SCRIPT.format(
                first_line=first_line(environment / "bin" / "python3"),
                paths=[str(ROOT / "src"), str(site_packages)],
                module=module,
                function=function,
            ),
        )


def first_line(python: Path) -> str:
    direct = f"#!{python} -IS"
    if " " not in str(python) and len(direct) <= LONGEST_SHEBANG:
        return direct
    # Read by sh as a command, by Python as a string.
    return f"#!/bin/sh\n'''exec' \"{python}\" -IS \"$0\" \"$@\"\n' '''"


def _dist_info(project: Project, site_packages: Path) -> Path:
    return site_packages / f"{project.name}-{project.version}.dist-info"


def _record(project: Project, site_packages: Path, written: dict[Path, str]) -> None:
    """RECORD lists every file with its digest, so that pip can take us out again."""
    record = _dist_info(project, site_packages) / "RECORD"
    lines = []
    for path, text in written.items():
        content = text.encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{os.path.relpath(path, site_packages)},sha256={digest},{len(content)}")
    lines.append(f"{os.path.relpath(record, site_packages)},,")
    record.write_text("\n".join([*lines, ""]))
