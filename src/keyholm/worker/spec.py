"""What a worker runs and may see, and what it says of itself: values and their bytes."""

from typing import Final, TypeVar

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder

from keyholm.wire.codec import Malformed

MASTER: Final = 3  # the worker's descriptor of its master socket
# A packet; the kernel takes one whole or not at all.
MOST_PACKET: Final = 64 * 1024


class Spec(Struct, frozen=True):
    """One worker. Who starts it says all of this; who calls it can change nothing."""

    name: str
    library: str
    env: dict[str, str] = {}
    init_args: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    network: bool = False
    ipc: bool = False
    memory_mib: int = 1024
    descriptors: int = 256


class Isolation(Struct, frozen=True):
    """What keeps a worker in. `reason`: why it is not `full`."""

    full: bool
    reason: str = ""
    lacks: tuple[str, ...] = ()
    forks: bool = True
    """Whether it could start processes, which nobody would know by their number."""

    def __str__(self) -> str:
        told = "full" if self.full else f"crash only ({self.reason})"
        return ", ".join((told, *(f"without {each}" for each in self.lacks)))


class Loaded(Struct, frozen=True):
    """The library is there, and `info` is what the service tells of it; or it failed at `step`."""

    info: bytes = b""
    step: str = ""
    code: int = 0
    text: str = ""


encode: Final = Encoder().encode
Told = TypeVar("Told", Spec, Isolation, Loaded)


def decode(packet: bytes, kind: type[Told]) -> Told:
    """Raises `Malformed`."""
    try:
        return Decoder(kind).decode(packet)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
