"""Commands about tokens: lock, unlock, passwd, backup, restore, token."""

import os
from typing import Any

from keyholm.cli import output, secrets
from keyholm.client import Client, connect
from keyholm.core.errors import AlreadyExists, BadRequest


def _parser(subparsers: Any, name: str, run: Any, about: str) -> Any:
    parser = subparsers.add_parser(name, description=about)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def add_lock(subparsers: Any) -> None:
    parser = _parser(subparsers, "lock", lock, "Lock a token, or every token that is yours.")
    parser.add_argument("token", nargs="?", default="")


def lock(options: Any) -> int:
    with connect() as client:
        client.lock(options.token)
    return output.as_json({}) if options.json else 0


def add_unlock(subparsers: Any) -> None:
    parser = _parser(subparsers, "unlock", unlock, "Unlock a token by passphrase or recovery code.")
    parser.add_argument("token", nargs="?", default="")
    secrets.add_option(parser)


def unlock(options: Any) -> int:
    with connect() as client:
        secret = secrets.passphrase(options.passphrase_file, _prompt(options.token))
        try:
            with output.working("unlocking"):
                client.unlock(secret, options.token)
        finally:
            secrets.wipe(secret)
    return output.as_json({}) if options.json else 0


def _prompt(token: str) -> str:
    return f"Passphrase of {token or 'main'}: "


def add_passwd(subparsers: Any) -> None:
    parser = _parser(subparsers, "passwd", passwd, "Change the passphrase of a token.")
    parser.add_argument("token", nargs="?", default="")
    parser.add_argument("--new-passphrase-file", metavar="FILE")
    parser.add_argument(
        "--recovery", action="store_true", help="make a new recovery code instead, and print it"
    )
    secrets.add_option(parser)


def passwd(options: Any) -> int:
    with connect() as client:
        old = secrets.passphrase(options.passphrase_file, _prompt(options.token))
        try:
            if options.recovery:
                print_recovery_code(client, options.token, old)
                return 0
            new = secrets.new_passphrase(options.new_passphrase_file, options.token or "main")
            try:
                with output.working("changing the passphrase"):
                    client.call("tokens.passphrase", {"token": options.token}, secrets=[old, new])
            finally:
                secrets.wipe(new)
        finally:
            secrets.wipe(old)
    return output.as_json({}) if options.json else 0


def print_recovery_code(client: Client, token: str, passphrase: bytearray) -> None:
    with output.working("making a recovery code"):
        _, (code,) = client.call_attached("tokens.recovery", {"token": token}, secrets=[passphrase])
    print("Recovery code, shown this once. Write it down and keep it away from this machine:")
    print(f"\n    {code.decode()}\n")
    secrets.wipe(code)


def add_backup(subparsers: Any) -> None:
    parser = _parser(
        subparsers, "backup", backup, "Write a token with all its keys to one encrypted file."
    )
    parser.add_argument("file")
    parser.add_argument("--token", default="")
    parser.add_argument("--backup-passphrase-file", metavar="FILE", help="that of the backup")
    secrets.add_option(parser)


def backup(options: Any) -> int:
    if os.path.exists(options.file):
        raise AlreadyExists(f"{options.file} is there already.")
    with connect() as client:
        of_file = secrets.new_passphrase(options.backup_passphrase_file, "the backup")
        params = {"token": options.token}
        try:
            with output.working("writing the backup"):
                made = secrets.with_proof(
                    lambda proof: client.call_attached(
                        "tokens.backup", params, secrets=[of_file, *proof]
                    )[1][0],
                    options.passphrase_file,
                    options.token or "main",
                )
        finally:
            secrets.wipe(of_file)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(options.file, flags, 0o600), "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BadRequest(f"{options.file} cannot be written: {error.strerror}.") from error
    if options.json:
        return output.as_json({"file": options.file, "bytes": len(made)})
    print(f"{options.file}: {len(made)} bytes. Keys that live in hardware are never in a backup.")
    return 0


def add_restore(subparsers: Any) -> None:
    parser = _parser(subparsers, "restore", restore, "Make a token from a backup.")
    parser.add_argument("file")
    parser.add_argument("--name", default="restored", help="of the new token")
    parser.add_argument("--backup-passphrase-file", metavar="FILE", help="that of the backup")


def restore(options: Any) -> int:
    try:
        with open(options.file, "rb") as file:
            content = file.read(64 * 1024 * 1024 + 1)
    except OSError as error:
        raise BadRequest(f"{options.file} cannot be read: {error.strerror}.") from error
    with connect() as client:
        secret = secrets.passphrase(options.backup_passphrase_file, "Passphrase of the backup: ")
        try:
            with output.working("restoring"):
                client.call(
                    "tokens.restore", {"name": options.name}, secrets=[secret], blobs=[content]
                )
        finally:
            secrets.wipe(secret)
    if options.json:
        return output.as_json({"token": options.name})
    print(f"The token {options.name} is there, with the passphrase of the backup.")
    return 0


# --- token ---------------------------------------------------------------------------


def add_token(subparsers: Any) -> None:
    parser = _parser(subparsers, "token", token, "Make, list and remove tokens.")
    parser.add_argument("action", choices=("list", "new", "rm"))
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--owner", type=int, metavar="UID", help="whose it is; root only")
    parser.add_argument("--no-passphrase", action="store_true", help="protect it by nothing")
    secrets.add_option(parser)


def token(options: Any) -> int:
    with connect() as client:
        if options.action == "list":
            return _list(client, options)
        if not options.name:
            raise BadRequest("Which token?")
        if options.action == "new":
            make_token(client, options.name, options)
        else:
            params = {"token": options.name}
            secrets.with_proof(
                lambda proof: client.call("tokens.remove", params, secrets=proof),
                options.passphrase_file,
                options.name,
            )
    return output.as_json({"token": options.name}) if options.json else 0


def make_token(client: Client, name: str, options: Any) -> None:
    """With a passphrase and a recovery code, unless neither is wanted."""
    params = {"name": name, "owner": getattr(options, "owner", None)}
    if options.no_passphrase:
        client.call("tokens.new", params)
        return
    passphrase = secrets.new_passphrase(options.passphrase_file, f"the token {name}")
    try:
        with output.working("making the token"):
            client.call("tokens.new", params, secrets=[passphrase])
        print_recovery_code(client, name, passphrase)
    finally:
        secrets.wipe(passphrase)


def _list(client: Client, options: Any) -> int:
    tokens = client.status()["tokens"]
    if options.json:
        return output.as_json({"tokens": tokens})
    rows = [
        (
            f"{found['store']}/{found['name']}",
            "locked" if found["locked"] else "open",
            str(found["keys"]),
            str(found["owner"]),
            ", ".join(slot["kind"] for slot in found["slots"]) or "-",
        )
        for found in tokens
    ]
    output.table(("TOKEN", "STATE", "KEYS", "OWNER", "UNLOCKED BY"), rows)
    return 0
