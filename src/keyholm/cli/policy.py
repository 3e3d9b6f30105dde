"""The command policy: show, set and explain who may use a key, for what, when, how often."""

import sys
from typing import Any

from keyholm.cli import output, secrets
from keyholm.client import connect
from keyholm.core.errors import BadRequest


def add_policy(subparsers: Any) -> None:
    parser = subparsers.add_parser("policy", description="Who may use a key, and for what.")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _action(actions, "show", show_policy, "Print a key's policy.")
    put = _action(
        actions, "set", set_policy, "Give a key another policy. Loosening wants the passphrase."
    )
    put.add_argument("file", nargs="?", help="TOML; - for stdin")
    put.add_argument(
        "--destination",
        action="append",
        default=[],
        metavar="[USER@]HOST",
        help="only to log in there; host keys come from known_hosts",
    )
    put.add_argument("--known-hosts", metavar="FILE", help="else ~/.ssh/known_hosts")
    put.add_argument("--clear", action="store_true", help="allow everything")
    secrets.add_option(put)
    explain = _action(actions, "explain", explain_policy, "Which rule decides for a process.")
    explain.add_argument("--pid", type=int, required=True)
    explain.add_argument("--door", default="agent")
    explain.add_argument("--namespace", default="", help="as if it signed for this one")


def _action(actions: Any, name: str, run: Any, about: str) -> Any:
    parser = actions.add_parser(name, description=about)
    parser.add_argument("key")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def show_policy(options: Any) -> int:
    with connect() as client:
        policy = client.call("policy.get", {"key": options.key})
    if options.json:
        return output.as_json(policy)
    sys.stdout.write(policy["toml"] or "# everything is allowed\n")
    return 0


def set_policy(options: Any) -> int:
    if sum((bool(options.file), bool(options.destination), options.clear)) != 1:
        raise BadRequest("Give a file, --destination, or --clear.")
    toml = _read(options.file) if options.file else ""
    if options.destination:
        from keyholm.cli.known_hosts import destinations

        toml = destinations(options.destination, options.known_hosts)
    with connect() as client:
        key = client.key(options.key)
        params = {"key": key["place"], "toml": toml}
        policy = secrets.with_proof(
            lambda proof: client.call("policy.set", params, secrets=proof),
            options.passphrase_file,
            key["token"],
        )
    if options.json:
        return output.as_json(policy)
    sys.stdout.write(policy["toml"] or "# everything is allowed\n")
    return 0


def explain_policy(options: Any) -> int:
    params = {
        "key": options.key,
        "pid": options.pid,
        "door": options.door,
        "namespace": options.namespace,
    }
    with connect() as client:
        found = client.call("policy.explain", params)
    if options.json:
        return output.as_json(found)
    program = found["program"] or "a program that cannot be known"
    print(f"{output.shown(program)}, {found['via']}: {'yes' if found['allowed'] else 'no'}")
    output.table(
        ("RULE", "OUTCOME", "REASON"),
        [(step["rule"], step["outcome"], step["reason"]) for step in found["steps"]],
    )
    return 0 if found["allowed"] else 1


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read(64 * 1024)
        with open(path) as file:
            return file.read(64 * 1024)
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} cannot be read: {error}.") from error
