"""`keyholm show`: all that is known of one key."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from keyholm.cli.list_keys import state
from keyholm.cli.output import Style, fields, print_json, printable, when
from keyholm.cli.parser import add_json
from keyholm.client import connect

if TYPE_CHECKING:
    from keyholm.cli.parser import Subparsers

FOR_EVER = 2**64 - 1  # valid_before of a certificate without an end


def add_parser(subparsers: "Subparsers") -> None:
    parser = subparsers.add_parser("show", description="Show one key with all that is known of it.")
    parser.add_argument("key", help="its name, place or PKCS#11 URI, or the start of its id")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    with connect() as client:
        key = client.key(arguments.key)
        policy = client.call("policy.get", {"key": key["place"]})
    if arguments.json:
        print_json({**key, "policy_toml": policy["toml"]})
        return 0
    verified = "" if key["verified"] else ", unverified until its token is unlocked"
    sys.stdout.write(
        fields(
            (
                ("name", key["name"]),
                ("type", f"{key['algorithm']} ({key['type']})"),
                ("fingerprint", key["fingerprint"]),
                ("id", key["id"]),
                ("place", key["place"]),
                ("uri", key["uri"]),
                ("origin", f"{key['origin']} {when(key['created'])}".rstrip()),
                ("private", "exportable" if key["exportable"] else "stays here"),
                ("state", state(key) + verified),
                *(("certificate", _certificate(each)) for each in key["certificates"]),
                ("public", key["public"]),
            )
        )
    )
    print(Style(sys.stdout).faint("policy"))
    for line in (policy["toml"] or "everything is allowed").splitlines():
        print(f"  {printable(line)}")
    return 0


def _certificate(certificate: dict[str, Any]) -> str:
    until = certificate["valid_before"]
    end = "for ever" if until >= FOR_EVER else f"until {when(until)}"
    principals = ", ".join(certificate["principals"]) or "nobody"
    return f"{certificate['name']}: {certificate['key_id']} for {principals}, {end}"
