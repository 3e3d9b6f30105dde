"""`keyholm module-path`: where the PKCS#11 module is that programs load."""

from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.module_file import FOLDER, NAME, module_file
from keyholm.cli.output import print_json
from keyholm.cli.parser import add_json
from keyholm.core.errors import NotFound

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "module-path",
        description="Print where the PKCS#11 module is, for programs that want its path: "
        'ssh -I "$(keyholm module-path)" host',
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    path = module_path()
    if arguments.json:
        print_json({"path": path})
    else:
        print(path)
    return 0


def module_path(folder: str = FOLDER) -> str:
    path = module_file(folder)
    if not path:
        raise NotFound(
            f"The PKCS#11 module was not built: there is no {NAME} in {folder}.",
            remedy="Install keyholm from a wheel; in a clone install a C compiler, and then run "
            "`python3 dev.py setup`.",
        )
    return path
