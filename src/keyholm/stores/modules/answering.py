"""The loop of a channel: a body of the PKCS#11 RPC in, the module called, a body out."""

import socket
import struct
import time
from typing import Final

from keyholm.stores.modules.binding.binding import Binding
from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.library import Library
from keyholm.wire.codec import Bytes, Malformed
from keyholm.wire.pkcs11.calls import CALLS, Call, Type
from keyholm.wire.pkcs11.constants import CKR
from keyholm.wire.pkcs11.dialect import OWN_VERSION, Dialect
from keyholm.wire.pkcs11.messages import protocol_of
from keyholm.worker.frames import Inbox, send
from keyholm.worker.host import end_if_used_up

PROTOCOL: Final = protocol_of(Dialect(OWN_VERSION))
# What may carry a PIN or a key. A mechanism may, too: a password that a key is derived from.
SECRET_CALLS: Final = frozenset(
    call.name
    for call in CALLS
    if any(
        parameter.secret or parameter.type in (Type.ATTRIBUTES, Type.MECHANISM)
        for parameter in call.takes
    )
)


# Seconds between two looks at what the library has taken; and after which calls it is looked at
# besides, since they find nothing where there is no descriptor left.
LOOK: Final = 0.5
TELLING: Final = frozenset({"FindObjects", "FindObjectsWith", "OpenSession"})


def serve(library: Library, channel: socket.socket) -> None:
    """Until the channel is closed. Raises `HungUp` and `Malformed`, when nobody is there to tell."""
    binding = Binding(library)
    inbox = Inbox(channel)
    look = time.monotonic() + LOOK
    while True:
        body = inbox.receive()
        call, said = answer(binding, body)
        if call is None or call.name in SECRET_CALLS:
            inbox.wipe()
        send(channel, said)
        if call is None or call.name in TELLING or time.monotonic() > look:
            end_if_used_up()
            look = time.monotonic() + LOOK


def answer(binding: Binding, body: Bytes) -> tuple[Call | None, bytes]:
    """The call that a request was, if it was one, and the answer: to any bytes whatever."""
    call: Call | None = None
    try:
        request = PROTOCOL.decode_request(body)
        call = request.call
        if call is None:
            return None, PROTOCOL.encode_error(CKR.FUNCTION_NOT_SUPPORTED)
        values = binding.answer(call, request.values)
        return call, PROTOCOL.encode_answer(call, *values)
    except Malformed as error:
        return None, PROTOCOL.encode_error(CKR.ARGUMENTS_BAD, f"The call cannot be read: {error}.")
    except Failed as failed:
        return call, PROTOCOL.encode_error(failed.code, failed.what)
    except struct.error:
        # A number or a length of the module that has no place in an answer.
        what = "The module answered what cannot be told."
        return call, PROTOCOL.encode_error(CKR.DEVICE_ERROR, what)
