"""Drives OpenSSH's `ssh-sk-helper`, which signs by a FIDO key (ssh-sk-client.c, version 5).

One process a signature, on a socketpair that is its standard input and output. Each message
is a uint32 of its length, a byte of the protocol's version, and then

    request    uint32 1 (sign), byte log to stderr, uint32 log level,
               string key, string provider, string data, string algorithm (empty),
               uint32 compat, string PIN
    reply      uint32 1, string signature    or    uint32 0, uint32 error

The helper loads the provider, a shared library, into itself and not into us; which ones may be
loaded is a list of patterns in our own configuration.
"""

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Mapping
from typing import Final

from keyholm.core import errors
from keyholm.core.secret import Secret
from keyholm.prompters.program import end
from keyholm.prompters.prompter import OutOfPatience, Patience
from keyholm.prompters.session import PATH
from keyholm.wire.codec import BYTE, STRING, TEXT, UINT32, Malformed, Reader
from keyholm.wire.ssh.patterns import match_pattern_list

VERSION: Final = 5
SIGN: Final = 1
ERROR: Final = 0
LOG_LEVEL_ERROR: Final = 2
MOST: Final = 256 * 1024
INTERNAL: Final = "internal"  # the helper's own libfido2
USUAL: Final = (
    "/usr/lib/openssh/ssh-sk-helper",
    "/usr/libexec/openssh/ssh-sk-helper",
    "/usr/libexec/ssh-sk-helper",
    "/usr/lib/ssh/ssh-sk-helper",
)
# ssherr.h, sent without their sign.
WRONG_PASSPHRASE: Final = 43  # of the authenticator: a PIN is needed, or it was wrong
DEVICE_NOT_FOUND: Final = 60
UNKNOWN: Final = "the helper says error {}"
MEANINGS: Final = {
    4: "the middleware refused the request",
    24: "the helper cannot load the middleware",
    DEVICE_NOT_FOUND: "no FIDO device with this key is plugged in",
    59: "this build of the helper has no FIDO support",
}


class SecurityKeys:
    """`providers` are patterns that a provider's real path must match (`ssh-agent -P`)."""

    def __init__(self, start: Mapping[str, str], providers: str) -> None:
        given = start.get("SSH_SK_HELPER", "")
        self._helper = given or next((path for path in USUAL if os.access(path, os.X_OK)), "")
        self._providers = providers

    def allowed(self, provider: str) -> str:
        """The real path of `provider`. Raises `PolicyForbids` and `BadRequest`."""
        if provider in ("", INTERNAL):
            return INTERNAL
        try:
            path = os.path.realpath(provider, strict=True)
        except (OSError, ValueError) as error:
            raise errors.BadRequest(f"There is no FIDO middleware {provider!r}.") from error
        if not match_pattern_list(path, self._providers):
            raise errors.PolicyForbids(
                f"{path} is not in the list of allowed providers.",
                remedy="Add a pattern for it (`keyholm-agent -P`, or agent.providers).",
            )
        return path

    def sign(
        self, private: bytes, provider: str, data: bytes, pin: Secret | None, patience: Patience
    ) -> bytes:
        """The SSH signature. Raises `ProofNeeded` where the device wants a PIN, or another."""
        request = _request(private, self.allowed(provider), data)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = self._start(theirs)
            try:
                _send(ours, request, pin)
                reply = _receive(ours, patience)
            except OSError as error:
                raise _broken("it ended without an answer") from error
            except OutOfPatience as error:
                raise errors.TokenBusy(
                    f"The FIDO device did not answer ({error.reason}).",
                    remedy="Touch it when it blinks.",
                ) from error
            finally:
                end(process)
        return _signature(reply)

    def _start(self, channel: socket.socket) -> "subprocess.Popen[bytes]":
        if not os.path.isabs(self._helper):
            raise errors.StoreFailed(
                "FIDO keys need OpenSSH's ssh-sk-helper, which is not installed.",
                remedy="Install the openssh-client package, or set SSH_SK_HELPER to its path.",
            )
        try:
            return subprocess.Popen(
                [self._helper],
                env={"PATH": PATH},
                cwd="/",
                stdin=channel.fileno(),
                stdout=channel.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise _broken(f"it cannot be started: {error.strerror}") from error


def _request(private: bytes, provider: str, data: bytes) -> bytes:
    """All of it but the PIN."""
    return b"".join(
        (
            BYTE.write(VERSION),
            UINT32.write(SIGN),
            BYTE.write(0),
            UINT32.write(LOG_LEVEL_ERROR),
            STRING.write(private),
            TEXT.write(provider),
            STRING.write(data),
            TEXT.write(""),
            UINT32.write(0),
        )
    )


def _send(channel: socket.socket, request: bytes, pin: Secret | None) -> None:
    size = len(pin) if pin is not None else 0
    length = UINT32.write(len(request) + 4 + size)
    # Read whole before it answers, so this cannot block for ever.
    channel.sendall(length + request + UINT32.write(size))
    if pin is not None:
        channel.sendall(pin.view)


def _receive(channel: socket.socket, patience: Patience) -> bytes:
    (size,) = struct.unpack(">I", _exactly(channel, 4, patience))
    if size > MOST:
        raise _broken(f"an answer of {size} bytes")
    return _exactly(channel, size, patience)


def _exactly(channel: socket.socket, size: int, patience: Patience) -> bytes:
    data = b""
    while len(data) < size:
        patience.wait(channel.fileno())
        piece = channel.recv(size - len(data))
        if not piece:
            raise _broken("it ended without an answer")
        data += piece
    return data


def _signature(reply: bytes) -> bytes:
    reader = Reader(reply)
    with contextlib.suppress(Malformed):
        version, kind = BYTE.read(reader), UINT32.read(reader)
        if version == VERSION and kind == SIGN:
            signature = STRING.read(reader)
            reader.end()
            return signature
        if version == VERSION and kind == ERROR:
            raise _refused(UINT32.read(reader))
    raise _broken("its answer makes no sense")


def _refused(number: int) -> errors.KeyholmError:
    if number == WRONG_PASSPHRASE:
        return errors.ProofNeeded("The FIDO device wants its PIN.", remedy="Enter it when asked.")
    meaning = MEANINGS.get(number, UNKNOWN.format(number))
    if number == DEVICE_NOT_FOUND:
        return errors.TokenNotPresent(
            f"The FIDO key was not used: {meaning}.", remedy="Plug it in and try again."
        )
    return errors.StoreFailed(
        f"The FIDO key was not used: {meaning}.", remedy="Touch the key when it blinks."
    )


def _broken(what: str) -> errors.StoreFailed:
    return errors.StoreFailed(
        f"ssh-sk-helper failed: {what}.",
        remedy="`ssh-keygen -Y sign` with the same key shows what it complains about.",
    )
