"""`keyholm policy`: show, set, edit and explain who may use a key, for what, when, how often."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from keyholm.cli.output import Style, print_json, printable, table
from keyholm.cli.parser import Parser, add_json, add_passphrase_file
from keyholm.client import Client, connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

OPEN = "# everything is allowed\n"


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("policy", description="Who may use a key, and for what.")
    actions = parser.add_subparsers(prog="keyholm policy", required=True, metavar="ACTION")
    show = actions.add_parser("show", description="Print the policy of a key.")
    show.set_defaults(run=run_show)
    change = actions.add_parser(
        "set",
        description="Give a key another policy. To loosen one, the token's passphrase is wanted.",
    )
    edit = actions.add_parser(
        "edit",
        description="Change the policy of a key in your editor (VISUAL, EDITOR, else vi).",
    )
    explain = actions.add_parser(
        "explain",
        description="Tell which rule decides when a process asks. Status 1: it would be refused.",
    )
    for action in (show, change, edit, explain):
        action.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
        add_json(action)
    _add_set(change)
    _add_change(edit)
    edit.set_defaults(run=run_edit)
    _add_explain(explain)


def _add_set(parser: Parser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", help="the policy (TOML); - is standard input")
    what.add_argument(
        "--destination",
        action="append",
        metavar="[USER@]HOST",
        help="only to log in there, by the host's key in known_hosts; may be repeated",
    )
    what.add_argument("--clear", action="store_true", help="allow everything")
    _add_change(parser)
    parser.set_defaults(run=run_set)


def _add_change(parser: Parser) -> None:
    parser.add_argument(
        "--known-hosts",
        metavar="FILE",
        help="where the keys of destinations come from that name none (~/.ssh/known_hosts)",
    )
    add_passphrase_file(parser)


def _add_explain(parser: Parser) -> None:
    parser.add_argument("--pid", type=int, required=True, help="the process that would ask")
    parser.add_argument("--door", default="agent", help="where it would ask (agent)")
    parser.add_argument("--namespace", default="", help="as if it signed for this SSHSIG namespace")
    parser.set_defaults(run=run_explain)


def run_show(arguments: Namespace) -> int:
    with connect() as client:
        policy = client.call("policy.get", {"key": arguments.key})
    return _print(arguments, policy)


def run_set(arguments: Namespace) -> int:
    toml = _wanted(arguments)
    with connect() as client:
        return _set(client, arguments, client.key(arguments.key), toml)


def run_edit(arguments: Namespace) -> int:
    from keyholm.cli.policy_file import completed, edited, not_empty

    def complete(text: str) -> str:
        # Where there was no policy, none is no accident.
        text = not_empty(text, "The policy") if before else text
        return completed(text, arguments.known_hosts)

    with connect() as client:
        key = client.key(arguments.key)
        before = client.call("policy.get", {"key": key["place"]})["toml"]
        toml = edited(before, complete)
        if toml == before:
            sys.stderr.write("Nothing was changed.\n")
            return 0
        return _set(client, arguments, key, toml)


def _set(client: Client, arguments: Namespace, key: dict[str, str], toml: str) -> int:
    from keyholm.cli.passphrase import with_proof

    policy = with_proof(
        lambda proof: client.call("policy.set", {"key": key["place"], "toml": toml}, secrets=proof),
        arguments.passphrase_file,
        f"the token {key['token']}",
    )
    return _print(arguments, policy)


def _wanted(arguments: Namespace) -> str:
    if arguments.clear:
        return ""
    if arguments.destination:
        from keyholm.cli.known_hosts import destinations

        return destinations(arguments.destination, arguments.known_hosts)
    from keyholm.cli.files import read_text
    from keyholm.cli.policy_file import completed, not_empty

    text = not_empty(read_text(arguments.file), arguments.file)
    return completed(text, arguments.known_hosts)


def _print(arguments: Namespace, policy: dict[str, str]) -> int:
    if arguments.json:
        print_json(policy)
    else:
        for line in (policy["toml"] or OPEN).splitlines():
            print(printable(line))
    return 0


def run_explain(arguments: Namespace) -> int:
    given = {
        "key": arguments.key,
        "pid": arguments.pid,
        "door": arguments.door,
        "namespace": arguments.namespace,
    }
    with connect() as client:
        answer = client.call("policy.explain", given)
    if arguments.json:
        print_json(answer)
        return 0 if answer["allowed"] else 1
    style = Style(sys.stdout)
    program = printable(answer["program"] or "a program that cannot be known")
    verdict = style.good("allowed") if answer["allowed"] else style.bad("refused")
    print(f"{program}, {answer['via']}: {verdict}")
    rows = [(step["rule"], step["outcome"], step["reason"]) for step in answer["steps"]]
    sys.stdout.write(table(("RULE", "OUTCOME", "REASON"), rows))
    return 0 if answer["allowed"] else 1
