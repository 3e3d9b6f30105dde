"""One channel's way into a module: a call of the table and its values, to the values of the answer.

    binding = Binding(library)
    binding.answer(BY_NAME["GetSlotList"], (True, 64))  ->  ((0, 1),)

Not thread-safe: each channel has its own. `Failed` is all that is raised.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.stores.modules.binding import folding
from keyholm.stores.modules.binding.arguments import verb_of
from keyholm.stores.modules.binding.asking import Asking
from keyholm.stores.modules.binding.attributes import read_attributes
from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.library import Library
from keyholm.stores.modules.binding.plan import Plan
from keyholm.stores.modules.binding.work import Work
from keyholm.wire.pkcs11.attributes import Attribute, Wanted
from keyholm.wire.pkcs11.calls import BY_NAME, Call
from keyholm.wire.pkcs11.constants import CKR

Values = tuple[Any, ...]
Answer = Callable[..., Values]

MOST_FOUND: Final = 4096  # in one answer, with attributes


class Binding:
    def __init__(self, library: Library) -> None:
        self._work = Work(library)

    def answer(self, call: Call, values: Values) -> Values:
        work = self._work
        work.begin(values[0] if values and isinstance(values[0], int) else 0)
        try:
            own = _OWN.get(call.name)
            if own is not None:
                return own(work, *values)
            return _passed_on(work, call, values)
        except OverflowError as error:  # a CK_ULONG of another platform
            raise Failed(CKR.ARGUMENTS_BAD, f"A number is too large: {error}.") from error
        finally:
            work.end()


_plans: dict[str, Plan] = {}


def _passed_on(work: Work, call: Call, values: Values) -> Values:
    plan = _plans.get(call.name)
    if plan is None:
        plan = _plans[call.name] = Plan(call)
    answer = plan.run(work, values)
    after = _AFTER.get(call.name)
    if after is not None:
        after(work, values, answer)
    return answer


# --- what a module has another way ---------------------------------------------------------


def _started_already(_work: Work, *_values: object) -> Values:
    """The library was initialised when it was loaded, and ends with its process."""
    return ()


def _get_attribute_value(
    work: Work, session: int, target: int, wanted: tuple[Wanted, ...]
) -> Values:
    asking = Asking(work.function("GetAttributeValue"), work.memory, session, target)
    return read_attributes(asking, [number for number, _ in wanted])


def _find_objects_with(
    work: Work, session: int, room: int, types: tuple[int, ...] | None
) -> Values:
    (found,) = _passed_on(work, BY_NAME["FindObjects"], (session, min(room, MOST_FOUND)))
    function = work.function("GetAttributeValue")
    told: list[Attribute] = []
    for handle in found:
        work.end()
        asking = Asking(function, work.memory, session, handle)
        try:
            told += read_attributes(asking, types or ())[0]
        except Failed as failed:
            # It went in between: that of the others is told all the same.
            if failed.code != CKR.OBJECT_HANDLE_INVALID:
                raise
            told += [(number, None) for number in types or ()]
    return found, tuple(told)


_OWN: Final[dict[str, Answer]] = {
    "Initialize": _started_already,
    "Finalize": _started_already,
    "GetAttributeValue": _get_attribute_value,
    "FindObjectsWith": _find_objects_with,
    "Begin": folding.begin,
    "SignOnce": folding.once(folding.SIGN),
    "VerifyOnce": folding.verify_once,
    "EncryptOnce": folding.once(folding.ENCRYPT),
    "DecryptOnce": folding.once(folding.DECRYPT),
    "DigestOnce": folding.digest_once,
}


# --- what is remembered --------------------------------------------------------------------


def _opened(work: Work, values: Values, answer: Values) -> None:
    work.library.sessions.opened(answer[0], values[0])


def _closed(work: Work, values: Values, _answer: Values) -> None:
    work.library.sessions.closed(values[0])


def _all_closed(work: Work, values: Values, _answer: Values) -> None:
    work.library.sessions.all_closed(values[0])


def _kept(call: Call) -> Callable[[Work, Values, Values], None]:
    def after(work: Work, values: Values, _answer: Values) -> None:
        work.remember(call.name, values[0])

    return after


def _messages_begun(call: Call) -> Callable[[Work, Values, Values], None]:
    verb = verb_of(call)

    def after(work: Work, values: Values, _answer: Values) -> None:
        work.remember(call.name, values[0])
        work.library.sessions.of(values[0]).mechanisms[verb] = values[1].type

    return after


_INITS: Final = tuple(call for call in BY_NAME.values() if call.name.endswith("Init"))
_AFTER: Final[dict[str, Callable[[Work, Values, Values], None]]] = {
    "OpenSession": _opened,
    "CloseSession": _closed,
    "CloseAllSessions": _all_closed,
    **{call.name: _kept(call) for call in _INITS if call.name != "FindObjectsInit"},
    **{call.name: _messages_begun(call) for call in _INITS if call.name.startswith("Message")},
}
