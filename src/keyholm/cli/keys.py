"""Commands about keys: new, list, show, import, export, rm, rename, sign."""

import sys
import time
from typing import Any

from keyholm.cli import output, secrets
from keyholm.client import connect
from keyholm.core.errors import AlreadyExists, BadRequest, KeyholmError, ProofNeeded

TYPES = (
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "mldsa44-ed25519",
)


def _parser(subparsers: Any, name: str, run: Any, about: str) -> Any:
    parser = subparsers.add_parser(name, description=about)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


# --- new -----------------------------------------------------------------------------


def add_new(subparsers: Any) -> None:
    parser = _parser(subparsers, "new", new, "Make a key. Its private half never leaves keyholm.")
    parser.add_argument("name")
    parser.add_argument("--type", choices=TYPES, default="ed25519", help="default: ed25519")
    parser.add_argument("--token", default="", help="which token keeps it; default: main")
    parser.add_argument("--exportable", action="store_true", help="its private half can be had")
    parser.add_argument("--policy", metavar="FILE", help="its policy, in TOML")


def new(options: Any) -> int:
    params = {
        "name": options.name,
        "type": options.type,
        "token": options.token,
        "exportable": options.exportable,
        "policy": _text(options.policy) if options.policy else "",
    }
    with connect() as client, output.working(f"making a {options.type} key"):
        key = client.call("keys.new", params)
    if options.json:
        return output.as_json(key)
    print(f"{key['name']}  {key['fingerprint']}  ({key['place']})")
    print(key["public"])
    return 0


# --- list, show ----------------------------------------------------------------------


def add_list(subparsers: Any) -> None:
    parser = _parser(subparsers, "list", list_keys, "List the keys of every store.")
    parser.add_argument("-p", "--public", action="store_true", help="as authorized_keys lines")


def list_keys(options: Any) -> int:
    with connect() as client:
        answer = client.call("keys.list")
    if options.json:
        return output.as_json(answer)
    if options.public:
        for key in answer["keys"]:
            print(output.shown(key["public"]))
        return 0
    rows = [
        (
            key["name"],
            key["algorithm"],
            f"{key['store']}/{key['token']}",
            _state(key),
            key["fingerprint"],
        )
        for key in answer["keys"]
    ]
    if not rows:
        sys.stderr.write("There are no keys yet. `keyholm new NAME` makes one.\n")
        return 0
    output.table(("NAME", "TYPE", "WHERE", "STATE", "FINGERPRINT"), rows)
    return 0


def _state(key: dict[str, Any]) -> str:
    words = [] if key["usable"] else ["locked"]
    if key["policy"]:
        words.append("policy")
    if key["certificates"]:
        words.append("cert")
    if key["exportable"]:
        words.append("exportable")
    return ",".join(words) or "ready"


def add_show(subparsers: Any) -> None:
    _parser(subparsers, "show", show, "Everything about one key.").add_argument("key")


def show(options: Any) -> int:
    with connect() as client:
        key = client.key(options.key)
        policy = client.call("policy.get", {"key": key["place"]})
    if options.json:
        return output.as_json({**key, "policy_toml": policy["toml"]})
    created = key["created"]
    output.facts(
        (
            ("name", key["name"]),
            ("type", f"{key['algorithm']} ({key['type']})"),
            ("fingerprint", key["fingerprint"]),
            ("id", key["id"]),
            ("place", key["place"]),
            ("uri", key["uri"]),
            ("origin", key["origin"]),
            ("created", _time(created) if created else ""),
            ("private half", "exportable" if key["exportable"] else "stays here"),
            ("state", _state(key) + ("" if key["verified"] else ", not verified before unlock")),
            ("certificates", ", ".join(c["name"] for c in key["certificates"])),
            ("public", key["public"]),
        )
    )
    print(output.painted("policy", output.DIM))
    print("\n".join(f"  {line}" for line in (policy["toml"] or "everything allowed").splitlines()))
    return 0


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


# --- import, export ------------------------------------------------------------------


def add_import(subparsers: Any) -> None:
    parser = _parser(
        subparsers,
        "import",
        import_keys,
        "Take over private keys from files, or all of a folder such as ~/.ssh. The files stay.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--name", default="", help="else the comment in the file")
    parser.add_argument("--token", default="")
    parser.add_argument("--exportable", action="store_true")
    parser.add_argument("--policy", metavar="FILE")
    secrets.add_option(parser)


def import_keys(options: Any) -> int:
    found = _private_files(options.files)
    if options.name and len(found) != 1:
        raise BadRequest("--name is for one file.")
    taken, failed = [], 0
    with connect() as client:
        for path in found:
            try:
                taken.append(_import_one(client, path, options))
            except KeyholmError as error:
                if len(found) == 1:
                    raise
                failed += 1
                sys.stderr.write(f"keyholm: {path}: {error}\n")
    if options.json:
        output.as_json({"keys": taken})
    else:
        for key in taken:
            print(f"{output.shown(key['name'])}  {key['fingerprint']}  ({key['place']})")
    return 1 if failed else 0


def _import_one(client: Any, path: str, options: Any) -> dict[str, Any]:
    params = {
        "name": options.name,
        "token": options.token,
        "exportable": options.exportable,
        "policy": _text(options.policy) if options.policy else "",
    }
    content = bytearray(_bytes(path))
    try:
        try:
            key: dict[str, Any] = client.call("keys.import", params, secrets=[content])
        except ProofNeeded:
            passphrase = secrets.passphrase(options.passphrase_file, f"Passphrase of {path}: ")
            try:
                key = client.call("keys.import", params, secrets=[content, passphrase])
            finally:
                secrets.wipe(passphrase)
    finally:
        secrets.wipe(content)
    return key


def _private_files(given: list[str]) -> list[str]:
    """The files, and of folders those that begin as a private key does."""
    import os

    found = []
    for path in given:
        if not os.path.isdir(path):
            found.append(path)
            continue
        for name in sorted(os.listdir(path)):
            inside = os.path.join(path, name)
            if os.path.isfile(inside) and _looks_private(inside):
                found.append(inside)
    if not found:
        raise BadRequest(f"There is no private key in {', '.join(given)}.")
    return found


def _looks_private(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            begin = file.read(64)
    except OSError:
        return False
    return begin.startswith(b"-----BEGIN") and b"PRIVATE KEY" in begin


def add_export(subparsers: Any) -> None:
    parser = _parser(
        subparsers, "export", export, "Write out the public key; the private one on request."
    )
    parser.add_argument("key")
    parser.add_argument("--private", action="store_true", help="if it was made exportable")
    parser.add_argument("-o", "--output", metavar="FILE", help="else standard output")
    secrets.add_option(parser)


def export(options: Any) -> int:
    import os

    with connect() as client:
        key = client.key(options.key)
        if not options.private:
            content = bytearray(f"{key['public']}\n".encode())
        else:
            if options.output is None and output.is_terminal():
                raise BadRequest("A private key is not printed.", remedy="Name a file by -o.")
            params = {"key": key["place"]}
            content = secrets.with_proof(
                lambda proof: client.call_attached("keys.export", params, secrets=proof)[1][0],
                options.passphrase_file,
                key["token"],
            )
    try:
        if options.output is None:
            sys.stdout.buffer.write(content)
            return 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        mode = 0o600 if options.private else 0o644
        with os.fdopen(os.open(options.output, flags, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise AlreadyExists(f"{options.output} is there already.") from None
    except OSError as error:
        raise BadRequest(f"{options.output} cannot be written: {error.strerror}.") from error
    finally:
        secrets.wipe(content)
    return 0


# --- rm, rename, sign ----------------------------------------------------------------


def add_rm(subparsers: Any) -> None:
    parser = _parser(subparsers, "rm", remove, "Destroy a key. It is not kept anywhere else.")
    parser.add_argument("key")
    secrets.add_option(parser)


def remove(options: Any) -> int:
    with connect() as client:
        key = client.key(options.key)
        params = {"key": key["place"]}
        secrets.with_proof(
            lambda proof: client.call("keys.remove", params, secrets=proof),
            options.passphrase_file,
            key["token"],
        )
    if options.json:
        return output.as_json(key)
    print(f"{key['name']} is destroyed.")
    return 0


def add_rename(subparsers: Any) -> None:
    parser = _parser(subparsers, "rename", rename, "Call a key otherwise.")
    parser.add_argument("key")
    parser.add_argument("name")


def rename(options: Any) -> int:
    with connect() as client:
        key = client.call("keys.rename", {"key": options.key, "name": options.name})
    return output.as_json(key) if options.json else 0


def add_sign(subparsers: Any) -> None:
    parser = _parser(subparsers, "sign", sign, "Sign a file; the signature goes to stdout.")
    parser.add_argument("key")
    parser.add_argument("file", nargs="?", default="-")
    parser.add_argument("--mechanism", default="", help="else the usual one of the key")


def sign(options: Any) -> int:
    import base64

    data = sys.stdin.buffer.read() if options.file == "-" else _bytes(options.file)
    params = {
        "key": options.key,
        "data": base64.b64encode(data).decode(),
        "mechanism": options.mechanism,
    }
    with connect() as client:
        signature = client.call("keys.sign", params)
    if options.json:
        return output.as_json(signature)
    print(signature["signature"])
    return 0


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64 * 1024)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from error


def _text(path: str) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not UTF-8.") from error
