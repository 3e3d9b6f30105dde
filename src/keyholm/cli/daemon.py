"""Commands about the daemon: serve, status, agent, config."""

import os
import time
from typing import Any

from keyholm.cli import output


def add_serve(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve", description="Run the daemon in the foreground; one line says when it is ready."
    )
    parser.add_argument("--system", action="store_true", help="for all users of this machine")
    parser.set_defaults(run=serve)


def serve(options: Any) -> int:
    from keyholm.daemon import main

    return main.serve(system=options.system)


def add_status(subparsers: Any) -> None:
    parser = subparsers.add_parser("status", description="What the daemon does, and its tokens.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=status)


def status(options: Any) -> int:
    from keyholm.client import connect

    with connect() as client:
        found = client.status()
    if options.json:
        return output.as_json(found)
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["started"]))
    trail = found["trail"]
    output.facts(
        (
            ("keyholm", f"{found['version']}, process {found['pid']}, since {started}"),
            *(
                (f"door {door['name']}", f"{door['path']} ({_clients(door)})")
                for door in found["doors"]
            ),
            ("trail", f"{trail['origin']}, {trail['records']} records, {trail['durability']}"),
            *((f"sandbox {name}", value) for name, value in found["sandbox"].items()),
            ("locked memory", "yes" if found["memory_locked"] else "no: RLIMIT_MEMLOCK is too low"),
            *((f"prompter {name}", why or "ready") for name, why in found["prompters"].items()),
        )
    )
    print()
    rows = [
        (
            f"{token['store']}/{token['name']}",
            "locked" if token["locked"] else "open",
            str(token["keys"]),
            "; ".join(token["damage"]) or "-",
        )
        for token in found["tokens"]
    ]
    output.table(("TOKEN", "STATE", "KEYS", "DAMAGE"), rows)
    return 1 if any(token["damage"] for token in found["tokens"]) else 0


def _clients(door: dict[str, Any]) -> str:
    return "1 client" if door["connections"] == 1 else f"{door['connections']} clients"


def add_agent(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "agent", description="`restore` offers the keys again that ssh-add -d or -D took away."
    )
    parser.add_argument("action", choices=("restore",))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=agent)


def agent(options: Any) -> int:
    from keyholm.client import connect

    with connect() as client:
        found = client.call("agent.restore")
    if options.json:
        return output.as_json(found)
    print(f"{found['restored']} keys are offered again.")
    return 0


def add_config(subparsers: Any) -> None:
    parser = subparsers.add_parser("config", description="Check the configuration file.")
    parser.add_argument("action", choices=("check", "path"))
    parser.set_defaults(run=config)


def config(options: Any) -> int:
    from keyholm.daemon import configuration, places

    path = places.find(os.environ).config
    if options.action == "path":
        print(path)
        return 0
    configuration.read(path)
    print(f"{path} is good." if path.exists() else f"{path} is not there: all defaults.")
    return 0
