"""Talk to the daemon as a program does: `with connect() as client: client.keys()`.

Results are dictionaries of the shapes in docs/reference/control.json, the same as what
`keyholm --json` prints. What the daemon raised is raised again here. Secrets travel beside
the JSON, never in it. This module imports little, so that commands start fast.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from keyholm.core.errors import DaemonFailed, DaemonNotRunning, by_name

VERSION: Final = 1
MAX_REPLY: Final = 64 * 1024 * 1024
SYSTEM: Final = "/run/keyholm/control"

Bytes = bytes | bytearray | memoryview


class Client:
    """One connection to the control socket. Not for several threads at once."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    # --- the protocol ------------------------------------------------------------------

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        secrets: Sequence[Bytes] = (),
        blobs: Sequence[Bytes] = (),
    ) -> dict[str, Any]:
        """The result of `method`. Raises what the daemon raised, `DaemonFailed` otherwise."""
        result, _ = self.call_attached(method, params, secrets=secrets, blobs=blobs)
        return result

    def call_attached(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        secrets: Sequence[Bytes] = (),
        blobs: Sequence[Bytes] = (),
    ) -> tuple[dict[str, Any], list[bytearray]]:
        """As `call`, with the secrets and blobs that came with the result, to be wiped."""
        head: dict[str, Any] = {"v": VERSION, "method": method, "params": dict(params or {})}
        if secrets:
            head["secrets"] = [len(secret) for secret in secrets]
        if blobs:
            head["blobs"] = [len(blob) for blob in blobs]
        frame = json.dumps(head).encode()
        try:
            # A daemon that refuses what it sees of a request says why, then hangs up.
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in (len(frame).to_bytes(4) + frame, *secrets, *blobs):
                    self._socket.sendall(part)
            answer = json.loads(self._receive(int.from_bytes(self._receive(4))))
            lengths = [*answer.get("secrets", ()), *answer.get("blobs", ())]
            attached = [self._receive(length) for length in lengths]
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise DaemonFailed(
                f"The daemon did not answer as it should: {error}.",
                remedy="`keyholm doctor` looks for the reason.",
            ) from error
        if error_told := answer.get("error"):
            raise rebuilt(error_told)
        return answer.get("result") or {}, attached

    def _receive(self, size: int) -> bytearray:
        if not 0 <= size <= MAX_REPLY:
            raise ValueError(f"a reply of {size} bytes")
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return data

    # --- what programs want ------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def keys(self) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = self.call("keys.list")["keys"]
        return keys

    def modules(self) -> list[dict[str, Any]]:
        """Vendors' PKCS#11 modules, and how each of them does."""
        modules: list[dict[str, Any]] = self.call("modules.list")["modules"]
        return modules

    def reload(self) -> None:
        """Have the daemon read its configuration and the files of modules again."""
        self.call("config.reload")

    def key(self, name: str) -> dict[str, Any]:
        """One key by its name, place or PKCS#11 URI, or the start of its id. Raises `KeyNotFound`."""
        return self.call("keys.show", {"key": name})

    def new(self, name: str, type: str = "ed25519", **more: Any) -> dict[str, Any]:  # noqa: A002
        return self.call("keys.new", {"name": name, "type": type, **more})

    def sign(self, name: str, data: bytes, mechanism: str = "") -> bytes:
        """A signature of the whole message in PKCS#11 form: r || s for ECDSA."""
        import base64

        params = {"key": name, "data": base64.b64encode(data).decode(), "mechanism": mechanism}
        return base64.b64decode(self.call("keys.sign", params)["signature"])

    def unlock(self, passphrase: Bytes, token: str = "") -> None:
        self.call("tokens.unlock", {"token": token}, secrets=[passphrase])

    def lock(self, token: str = "") -> None:
        self.call("tokens.lock", {"token": token})


def rebuilt(told: Mapping[str, Any]) -> Exception:
    """The exception that the daemon raised, as far as it crosses the socket."""
    kind = by_name(str(told.get("kind", "")))
    error = kind.__new__(kind)
    Exception.__init__(error, told.get("what", ""))
    error.what, error.remedy = str(told.get("what", "")), str(told.get("remedy", ""))
    return error


def socket_path(environment: Mapping[str, str] = os.environ) -> str:
    """Where this user's daemon listens, or the system's where the user has none.

    `daemon/places.py` makes the same folders; its imports would cost a command 30 ms.
    """
    if home := environment.get("KEYHOLM_HOME"):
        return os.path.join(os.path.abspath(home), "run", "control")
    own = os.path.join(_run_folder(environment), "control")
    return SYSTEM if not os.path.exists(own) and os.path.exists(SYSTEM) else own


def door_path(door: str, environment: Mapping[str, str] = os.environ) -> str:
    """Where another door of the same daemon listens."""
    return os.path.join(os.path.dirname(socket_path(environment)), door)


def _run_folder(environment: Mapping[str, str]) -> str:
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return os.path.join(runtime, "keyholm")
    usual = f"/run/user/{os.getuid()}"
    if os.path.isdir(usual):
        return os.path.join(usual, "keyholm")
    data = environment.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        data = os.path.join(environment.get("HOME", "/"), ".local/share")
    return os.path.join(data, "keyholm", "run")


def connect(path: str | None = None, *, timeout: float | None = None) -> Client:
    """Raises `DaemonNotRunning`, which names the socket."""
    path = path or socket_path()
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(timeout)
    try:
        connected.connect(path)
    except OSError as error:
        connected.close()
        raise DaemonNotRunning(
            f"No keyholm daemon answers at {path} ({error.strerror or error}).",
            remedy="Start it: `keyholm serve`.",
        ) from error
    return Client(connected)
