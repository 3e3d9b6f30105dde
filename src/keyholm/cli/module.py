"""`keyholm module`: vendors' PKCS#11 modules, whose tokens keyholm shows and guards."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keyholm.cli.output import Style, print_json, printable
from keyholm.cli.parser import add_json
from keyholm.core.errors import BadRequest

if TYPE_CHECKING:
    from keyholm.cli.modules.adding import Plan, Wish
    from keyholm.cli.modules.importing import Taken
    from keyholm.cli.parser import Parser, Subparsers
    from keyholm.daemon.module_files import ModuleSettings
    from keyholm.daemon.places import Places
    from keyholm.daemon.vendors.needs import Need

LOGINS: Final = ("application", "daemon")
# Options of `add` and the keys of the file that they add to.
SIGHTS: Final = {
    "read": "reads",
    "write": "writes",
    "device": "devices",
    "socket": "sockets",
}


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser(
        "module",
        description="Vendors' PKCS#11 modules: each runs in a process of its own, which sees "
        "what its file says and nothing else. docs/modules.md has more.",
    )
    actions = parser.add_subparsers(prog="keyholm module", required=True, metavar="ACTION")
    _add_add(actions)
    _add_rest(actions)


def _add_add(actions: "Subparsers") -> None:
    add = actions.add_parser(
        "add",
        description="Add a module. What it will see of this machine is worked out, shown, and "
        "written to its file; nothing is loaded.",
    )
    add.add_argument("file", metavar="PATH", help="its library; or the name of a well-known module")
    add.add_argument("--name", default="", metavar="NAME", help="what to call it")
    _add_environment(add)
    add.add_argument(
        "--login",
        choices=LOGINS,
        default="daemon",
        help="who logs in to its tokens: each application with its own PIN, or keyholm, which asks "
        "(the default)",
    )
    add.add_argument("--pin-hash", action="store_true", help="take no other file in its place")
    for option, key in SIGHTS.items():
        add.add_argument(
            f"--{option}",
            action="append",
            default=[],
            metavar="FILE",
            help=f"let it also have this ({key})",
        )
    add.add_argument("--network", action="store_true", help="let it use the network")
    add.add_argument("--ipc", action="store_true", help="let it share memory with others")
    add.add_argument("-n", "--dry-run", action="store_true", help="show it, and write nothing")
    add_json(add)
    add.set_defaults(run=run_add)


def _add_environment(parser: "Parser") -> None:
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of its environment; repeat for more",
    )
    parser.add_argument(
        "--init-args", default="", metavar="STRING", help="what C_Initialize is given (NSS)"
    )


def _add_rest(actions: "Subparsers") -> None:
    test = actions.add_parser(
        "test",
        description="Start a module by itself, without the daemon, and tell what it has: whether "
        "it loads, what it says of itself, its slots and tokens. No PIN is asked for or sent.",
    )
    test.add_argument("file", metavar="PATH|NAME", help="its library, or the name of a module")
    _add_environment(test)
    add_json(test)
    test.set_defaults(run=run_test)
    listed = actions.add_parser(
        "list", description="List the modules, with what the daemon knows of each."
    )
    add_json(listed)
    listed.set_defaults(run=run_list)
    take = actions.add_parser(
        "import",
        description="Add the modules that p11-kit knows, from its configuration: "
        "/etc/pkcs11, /usr/share/p11-kit/modules and ~/.config/pkcs11. It stays as it is.",
    )
    take.add_argument("--login", choices=LOGINS, default="daemon", help="as of `module add`")
    take.add_argument("-n", "--dry-run", action="store_true", help="show it, and write nothing")
    add_json(take)
    take.set_defaults(run=run_import)
    remove = actions.add_parser("remove", description="Take a module away. Its keys stay.")
    remove.add_argument("name")
    remove.set_defaults(run=run_remove)
    pin = actions.add_parser(
        "pin",
        description="Take this module's library as it is now, and no other file in its place: "
        "after an update of its package that you know of.",
    )
    pin.add_argument("name")
    pin.set_defaults(run=run_pin)
    for action in (remove, pin):
        add_json(action)


# --- add -----------------------------------------------------------------------------


def run_add(arguments: Namespace) -> int:
    from keyholm.cli.modules.adding import planned
    from keyholm.daemon import module_files

    places = places_here()
    folder = module_files.folder(places)
    plan = planned(wish_of(arguments), module_files.read_folder(folder), places, os.environ)
    file = module_files.file_of(folder, plan.name)
    if not arguments.json:
        sys.stdout.write(shown(plan))
        sys.stdout.flush()
    if not arguments.dry_run:
        module_files.write(folder, plan.name, plan.settings)
    if arguments.json:
        print_json(as_json(plan, file, written=not arguments.dry_run))
    elif not arguments.dry_run:
        sys.stdout.write(f"Written to {printable(str(file))}; edit it there.\n")
        sys.stdout.flush()
    if not arguments.dry_run:
        taken_up()
    return 0


def wish_of(arguments: Namespace) -> "Wish":
    from keyholm.cli.modules.adding import GIVEN, Wish
    from keyholm.daemon.module_files import Login
    from keyholm.daemon.vendors.needs import Kind, Need

    more = [
        Need(Kind(key), os.path.abspath(os.path.expanduser(path)), GIVEN)
        for option, key in SIGHTS.items()
        for path in getattr(arguments, option)
    ]
    more += [Need(kind, "", GIVEN) for kind in (Kind.NETWORK, Kind.IPC) if getattr(arguments, kind)]
    return Wish(
        arguments.file,
        arguments.name,
        variables(arguments.env),
        arguments.init_args,
        Login(arguments.login),
        arguments.pin_hash,
        more,
    )


def variables(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise BadRequest(f"--env {each!r} is no NAME=VALUE.")
        found[name] = value
    return found


def places_here() -> "Places":
    from keyholm.daemon import places

    return places.find(os.environ)


def folder_here() -> Path:
    from keyholm.daemon import module_files

    return module_files.folder(places_here())


def shown(plan: "Plan") -> str:
    """What will be written, as a person reads it."""
    style = Style(sys.stdout)
    what = f"{plan.title}, " if plan.title else ""
    lines = [f"{style.strong(plan.name)}: {what}{printable(plan.settings.path)}"]
    lines.append("It runs in a process of its own. Beside the system's libraries that sees:")
    lines += [f"  {line}" for line in _sights(plan.needs)]
    lines += [f"Its tokens are opened by {_opener(plan)}."]
    if plan.settings.sha256:
        lines.append(f"Pinned: SHA-256 {plan.settings.sha256}")
    lines += [f"{style.warning('warning:')} {printable(each)}" for each in plan.warnings]
    return "\n".join(lines) + "\n"


def _sights(needs: "tuple[Need, ...]") -> Iterator[str]:
    width = max((len(need.value) for need in needs), default=0)
    for need in needs:
        yield f"{need.kind:<8} {printable(need.value):<{width}}  {need.why}".rstrip()
    missing = {"network", "devices"} - {str(need.kind) for need in needs}
    if missing:
        yield f"nothing else: no {' and no '.join(sorted(missing, reverse=True))}"


def _opener(plan: "Plan") -> str:
    if plan.settings.login == "application":
        return "each application, with the PIN that it has"
    return "keyholm, which asks for the PIN"


def as_json(plan: "Plan", file: Path, *, written: bool) -> dict[str, Any]:
    from msgspec import to_builtins

    return {
        "name": plan.name,
        "file": str(file),
        "written": written,
        "settings": to_builtins(plan.settings),
        "needs": [need._asdict() for need in plan.needs],
        "warnings": list(plan.warnings),
    }


def taken_up() -> None:
    """Have the daemon read the files, if there is one. What it says against it is told."""
    from keyholm.client import connect
    from keyholm.core.errors import DaemonNotRunning, KeyholmError

    try:
        with connect() as client:
            client.reload()
    except DaemonNotRunning:
        sys.stderr.write("No daemon runs here; it reads the file when it starts.\n")
    except KeyholmError as error:
        sys.stderr.write(f"The daemon has not taken it up. {printable(str(error))}\n")


# --- list ----------------------------------------------------------------------------


def run_list(arguments: Namespace) -> int:
    from keyholm.cli.modules import listing
    from keyholm.daemon import module_files

    folder = folder_here()
    lines = listing.lines_of(folder, module_files.read_folder(folder))
    if arguments.json:
        print_json({"modules": [line._asdict() for line in lines]})
    elif lines:
        sys.stdout.write(listing.shown(lines))
    else:
        sys.stderr.write(f"There are no modules in {folder}. `keyholm module add` adds one.\n")
    return 0


# --- test ----------------------------------------------------------------------------


def run_test(arguments: Namespace) -> int:
    from keyholm.cli.checks.finding import BAD, shown
    from keyholm.cli.modules import testing

    name, settings = _settings(arguments)
    report = testing.tested(name, settings)
    if arguments.json:
        print_json(testing.as_json(report))
    else:
        sys.stdout.write("".join(shown(finding) for finding in report.findings))
    bad = [finding.status for finding in report.findings if finding.level == BAD]
    return bad[0] if bad else 0


def _settings(arguments: Namespace) -> "tuple[str, ModuleSettings]":
    """Of a module that is there, or of one as it would be added."""
    from keyholm.cli.modules.adding import Wish, planned
    from keyholm.daemon import module_files

    places = places_here()
    folder = module_files.folder(places)
    given = arguments.file
    if module_files.NAME.fullmatch(given) and module_files.file_of(folder, given).exists():
        return given, module_files.read(folder, given)
    wish = Wish(given, env=variables(arguments.env), init_args=arguments.init_args)
    plan = planned(wish, module_files.Modules({}, {}), places, os.environ)
    return plan.name, plan.settings


# --- import --------------------------------------------------------------------------


def run_import(arguments: Namespace) -> int:
    from keyholm.cli.modules import importing
    from keyholm.daemon import module_files

    places = places_here()
    folder = module_files.folder(places)
    configuration = importing.read(os.environ)
    there = module_files.read_folder(folder)
    login = module_files.Login(arguments.login)
    found = importing.takeover(configuration, there, places, os.environ, login)
    plans = [taken.plan for taken in found if taken.plan is not None]
    if not arguments.json:
        sys.stdout.write("".join(_taken(taken) for taken in found))
        sys.stdout.write("".join(f"{printable(each)}\n" for each in configuration.remarks))
        sys.stdout.flush()
    if not arguments.dry_run:
        for plan in plans:
            module_files.write(folder, plan.name, plan.settings)
        if plans:
            taken_up()
    if arguments.json:
        print_json({"modules": [_taken_json(taken, folder, arguments.dry_run) for taken in found]})
    elif plans and not arguments.dry_run:
        sys.stdout.write(_twice(found))
    return 0


def _taken(taken: "Taken") -> str:
    style = Style(sys.stdout)
    if taken.plan is None:
        skipped = style.faint("left out:")
        return f"{taken.described.name}: {skipped} {printable(taken.skipped)}\n"
    remarks = "".join(f"{printable(each)}\n" for each in taken.remarks)
    return shown(taken.plan) + _who_sees(taken.plan) + remarks


def _who_sees(plan: "Plan") -> str:
    settings = plan.settings
    if settings.enable_in:
        return f"Only these programs see its tokens: {', '.join(settings.enable_in)}.\n"
    if settings.disable_in:
        return f"These programs do not see its tokens: {', '.join(settings.disable_in)}.\n"
    return ""


def _taken_json(taken: "Taken", folder: Path, dry_run: bool) -> dict[str, Any]:
    from keyholm.daemon import module_files

    told: dict[str, Any] = {"p11_kit": taken.described.name, "skipped": taken.skipped}
    told["remarks"] = list(taken.remarks)
    if taken.plan is not None:
        file = module_files.file_of(folder, taken.plan.name)
        told["module"] = as_json(taken.plan, file, written=not dry_run)
    return told


def _twice(found: "list[Taken]") -> str:
    """p11-kit still loads what we took over, into every program that asks it."""
    from keyholm.cli.modules.importing import masked

    commands = masked([each.described for each in found if each.plan is not None], os.environ)
    return (
        "p11-kit goes on loading these modules into programs itself. To have them by keyholm "
        "alone:\n" + "".join(f"  {command}\n" for command in commands)
    )


# --- remove, pin ---------------------------------------------------------------------


def run_remove(arguments: Namespace) -> int:
    from keyholm.daemon import module_files

    folder = folder_here()
    file = module_files.file_of(folder, arguments.name)
    module_files.remove(folder, arguments.name)
    if arguments.json:
        print_json({"name": arguments.name, "file": str(file)})
    else:
        sys.stdout.write(f"{printable(str(file))} is gone.\n")
        sys.stdout.flush()
    taken_up()
    return 0


def run_pin(arguments: Namespace) -> int:
    from msgspec.structs import replace

    from keyholm.cli.modules.adding import check_library
    from keyholm.daemon import module_files

    folder = folder_here()
    settings = module_files.read(folder, arguments.name)
    check_library(settings.path)
    digest = module_files.digest(settings.path)
    module_files.write(folder, arguments.name, replace(settings, sha256=digest))
    taken_up()
    if arguments.json:
        print_json({"name": arguments.name, "before": settings.sha256, "sha256": digest})
        return 0
    changed = "as before" if digest == settings.sha256 else f"before: {settings.sha256 or 'any'}"
    sys.stdout.write(f"{arguments.name} is pinned to SHA-256 {digest} ({changed}).\n")
    return 0
