"""A module in a worker of its own, called as the store does: frames over a channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyholm.stores.modules.answering import PROTOCOL
from keyholm.stores.modules.info import ModuleInfo, decode_info
from keyholm.wire.pkcs11.calls import BY_NAME
from keyholm.wire.pkcs11.constants import CKF, CKR, CKU
from keyholm.wire.pkcs11.mechanisms import Mechanism
from keyholm.wire.pkcs11.messages import Refusal
from keyholm.worker.proxy import Channel, Worker
from keyholm.worker.spec import Spec
from keyholm.worker.start import DirectStarter

SERVICE: Final = "keyholm.stores.modules.host"
SECONDS: Final = 60
ROOM: Final = 1 << 16
LISTED: Final = 4096
RW: Final = CKF.SERIAL_SESSION | CKF.RW_SESSION


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(CKR.name(refusal.status), refusal.what)
        self.status = refusal.status
        self.what = refusal.what


@dataclass(slots=True)
class Line:
    """One channel."""

    channel: Channel

    def __call__(self, name: str, *values: Any) -> Any:
        """The values of the answer; the value itself, if it is one."""
        call = BY_NAME[name]
        frame = PROTOCOL.encode_request(call, *values)
        answer = PROTOCOL.decode_answer(call, self.channel.call(frame, SECONDS, f"C_{name}"))
        if isinstance(answer, Refusal):
            raise Refused(answer)
        return answer[0] if len(answer) == 1 else answer

    def status(self, name: str, *values: Any) -> int:
        """What it is refused with; CKR_OK if it is not."""
        try:
            self(name, *values)
        except Refused as refused:
            return refused.status
        return CKR.OK

    def find(self, session: int, *attributes: Any) -> tuple[int, ...]:
        self("FindObjectsInit", session, attributes)
        found: tuple[int, ...] = ()
        while more := self("FindObjects", session, LISTED):
            found += more
        self("FindObjectsFinal", session)
        return found

    def read(self, session: int, target: int, *types: int) -> dict[int, Any]:
        told, _ = self("GetAttributeValue", session, target, tuple((each, 0) for each in types))
        return dict(told)

    def generate(self, session: int, mechanism: int, *attributes: Any) -> int:
        made: int = self("GenerateKey", session, Mechanism(mechanism), attributes)
        return made


class Vendor:
    """A module."""

    def __init__(
        self,
        path: str,
        *,
        env: dict[str, str] | None = None,
        init_args: str = "",
        writes: Sequence[Path] = (),
        reads: Sequence[Path] = (),
    ) -> None:
        spec = Spec(
            "vendor",
            path,
            env=env or {},
            init_args=init_args,
            writes=tuple(map(str, writes)),
            reads=tuple(map(str, reads)),
        )
        self.worker = Worker(DirectStarter(lambda _name, _path: spec, SERVICE), "vendor")
        self._lines: list[Line] = []

    @property
    def info(self) -> ModuleInfo:
        self.worker.start()
        return decode_info(self.worker.info)

    def line(self) -> Line:
        """Another channel."""
        self._lines.append(Line(self.worker.channel()))
        return self._lines[-1]

    def close(self) -> None:
        for line in self._lines:
            line.channel.close()
        self.worker.close()


@dataclass(slots=True)
class Session:
    """A session with a token, logged in."""

    line: Line
    slot: int
    handle: int

    @classmethod
    def open(cls, line: Line, slot: int, pin: bytes = b"", *, flags: int = RW) -> "Session":
        handle: int = line("OpenSession", slot, flags)
        if pin:
            line("Login", handle, CKU.USER, pin)
        return cls(line, slot, handle)

    def __call__(self, name: str, *values: Any) -> Any:
        """A call whose first value is the session."""
        return self.line(name, self.handle, *values)

    def status(self, name: str, *values: Any) -> int:
        return self.line.status(name, self.handle, *values)

    def find(self, *attributes: Any) -> tuple[int, ...]:
        return self.line.find(self.handle, *attributes)

    def read(self, target: int, *types: int) -> dict[int, Any]:
        return self.line.read(self.handle, target, *types)

    def make(self, mechanism: int, *attributes: Any) -> int:
        return self.line.generate(self.handle, mechanism, *attributes)

    def pair(self, mechanism: int, public: Any, private: Any = ()) -> tuple[int, int]:
        made: tuple[int, int] = self("GenerateKeyPair", Mechanism(mechanism), public, private)
        return made
