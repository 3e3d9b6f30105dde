"""The command certificate: add and remove SSH certificates beside their keys."""

from typing import Any

from keyholm.cli import output
from keyholm.client import connect
from keyholm.core.errors import BadRequest


def add_certificate(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "certificate",
        description="The agent offers a certificate beside its key; adding it again renews it.",
    )
    parser.add_argument("action", choices=("add", "rm"))
    parser.add_argument("key")
    parser.add_argument("file", help="the certificate (add), its name (rm)")
    parser.add_argument("--name", default="", help="else the file's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=certificate)


def certificate(options: Any) -> int:
    import os

    with connect() as client:
        if options.action == "rm":
            name = options.file
            client.call("certificates.remove", {"key": options.key, "name": name})
        else:
            name = options.name or os.path.basename(options.file).removesuffix(".pub")
            try:
                with open(options.file) as file:
                    line = file.read(64 * 1024)
            except (OSError, UnicodeDecodeError) as error:
                raise BadRequest(f"{options.file} cannot be read: {error}.") from error
            params = {"key": options.key, "name": name, "certificate": line}
            client.call("certificates.add", params)
    return output.as_json({"name": name}) if options.json else 0
