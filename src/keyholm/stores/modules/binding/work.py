"""What one channel needs to call a module: memory that it uses again, and the call under way."""

import ctypes
from typing import Any, Final

from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.library import Function, Library
from keyholm.stores.modules.binding.memory import Memory
from keyholm.stores.modules.binding.output import Output
from keyholm.stores.modules.binding.parameters import NOTHING, Laid, lay
from keyholm.stores.modules.binding.templates import ROWS
from keyholm.wire.pkcs11.constants import CKM, CKR
from keyholm.wire.pkcs11.mechanisms import FORMS, NO_MECHANISM, WRAP_FORMS, Mechanism
from keyholm.wire.pkcs11.parameters import Parameter

SIZE: Final = 1 << 18  # of the memory for arguments; what is larger is made for the call
KEPT_SIZE: Final = 1 << 10
CELLS: Final = 4

_WRAP_FORMS: Final = FORMS | WRAP_FORMS


class Work:
    def __init__(self, library: Library) -> None:
        self.library = library
        self.memory = Memory(SIZE)
        self.output = Output()
        # The CK_ULONG that pointers of arguments point to.
        self.cells: Any = (ctypes.c_ulong * CELLS)()
        base, width = ctypes.addressof(self.cells), ctypes.sizeof(ctypes.c_ulong)
        self.addresses = tuple(base + n * width for n in range(CELLS))
        self.begin(0)

    def begin(self, session: int) -> None:
        """A new call; nothing is known of it yet."""
        self.session = session
        self.given = 0  # bytes of data
        self.room = 0  # that the caller has
        self.capacity = 0  # that the module got
        self.only_length = False  # as the caller has no room, or not enough
        self.is_last = True  # part of a message
        self.parameter: Parameter | bytes | None = None  # of a message, or of an authenticated wrap
        self.mechanism_type = 0
        self.laid: Laid = NOTHING
        self.kept: Memory | None = None

    def end(self) -> None:
        self.memory.clear()

    def function(self, name: str) -> Function:
        found = self.library.functions.get(name)
        if found is None:
            raise Failed(CKR.FUNCTION_NOT_SUPPORTED, f"The module has no C_{name}.")
        return found

    def keep(self, mechanism: Mechanism) -> None:
        """Lay its parameter where it stays after the call."""
        if mechanism.parameter is not None:
            self.kept = Memory(KEPT_SIZE)

    def remember(self, init: str, session: int) -> None:
        """What was kept, until the next init of its kind."""
        if self.kept is not None:
            self.library.sessions.of(session).kept[init] = self.kept

    def lay_mechanism(
        self, mechanism: Mechanism, *, memory: Memory | None = None, authenticated: bool = False
    ) -> int | None:
        """Its address; of a NULL mechanism, which ends an operation, None."""
        memory = memory or self.memory
        number, parameter = mechanism.type, mechanism.parameter
        if parameter is None:
            if number == NO_MECHANISM.type:
                self._check_that_it_cancels()
                return None
            return memory.put(ROWS.pack(number, 0, 0))
        forms = _WRAP_FORMS if authenticated else self.library.forms
        self.parameter, self.mechanism_type = parameter, number
        if isinstance(parameter, Parameter):
            self.laid = lay(memory, forms[number], parameter)
        elif number in forms:
            # The bytes of a structure: its pointers would lead anywhere in this process.
            what = f"The parameter of {CKM.name(number)} has fields; bytes are not taken."
            raise Failed(CKR.MECHANISM_PARAM_INVALID, what)
        else:
            self.laid = lay_raw(memory, parameter)
        return memory.put(ROWS.pack(number, self.laid.address or 0, self.laid.size))

    def _check_that_it_cancels(self) -> None:
        if not self.library.can_cancel:
            what = (
                "A mechanism that is NULL ends an operation since PKCS#11 3.0; the module is older."
            )
            raise Failed(CKR.ARGUMENTS_BAD, what)


def lay_raw(memory: Memory, parameter: bytes) -> Laid:
    """As the caller has it, for mechanisms that only it and the module know."""
    return Laid(memory.put(parameter), len(parameter)) if parameter else NOTHING
