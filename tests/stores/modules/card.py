"""A contract fake: a card that counts tries, with one EC key, as its module would answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.stores.modules.softhsm import FakeHuman

from keyholm.core.errors import StoreFailed
from keyholm.core.policies import Policies
from keyholm.core.secret import Secret
from keyholm.core.session import Role
from keyholm.core.store import Change, Event
from keyholm.stores.modules import identity
from keyholm.stores.modules.abilities import token_of
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.line import Line
from keyholm.stores.modules.setup import Setup
from keyholm.stores.modules.token import Surroundings
from keyholm.testing.fakes import Clock
from keyholm.wire import der
from keyholm.wire.pkcs11.constants import CKA, CKF, CKK, CKM, CKO, CKR, CKS, CKU

SLOT, PRIVATE, PUBLIC = 7, 11, 12
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
TRIES = 3
P256 = der.oid("1.2.840.10045.3.1.7")


@dataclass
class Card:
    """What is the same however often its worker is begun anew."""

    pin: bytes = b"1234"
    tries: int = TRIES
    pad: bool = False
    always: bool = False
    present: bool = True
    sent: list[bytes | None] = field(default_factory=list)  # each PIN that reached it
    calls: list[str] = field(default_factory=list)
    alive: bool = True
    dies: bool = False  # in the next call
    another: ec.EllipticCurvePrivateKey | None = None  # whose public half it shows

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.begin()

    def begin(self) -> None:
        """Of a worker: all that it knew is gone."""
        self.sessions: set[int] = set()
        self.logged_in = False
        self.proved = False
        self.signing = False
        self.next = 100

    def lines(self) -> Line:
        if not self.alive:
            self.alive = True
            self.begin()
        return cast(Line, Wire(self))

    def flags(self) -> int:
        flags = CKF.TOKEN_INITIALIZED | CKF.LOGIN_REQUIRED | CKF.USER_PIN_INITIALIZED
        if self.pad:
            flags |= CKF.PROTECTED_AUTHENTICATION_PATH
        if self.tries == 0:
            return flags | CKF.USER_PIN_LOCKED
        if self.tries == 1:
            return flags | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_COUNT_LOW
        return flags | (CKF.USER_PIN_COUNT_LOW if self.tries < TRIES else 0)


@dataclass
class Wire:
    card: Card
    generation: int = 1
    mine: bool = True
    asked: int = 0
    unsent: bool = False

    @property
    def alive(self) -> bool:
        return self.mine and self.card.alive

    def call(self, name: str, *values: Any, seconds: float | None = None) -> Any:
        self.asked += 1
        if not self.alive:
            self.mine = False
            raise StoreFailed("The worker died.")
        self.card.calls.append(name)
        if self.card.dies:
            self.card.dies = self.card.alive = self.mine = False
            raise StoreFailed(f"The worker died during C_{name}.")
        if not self.card.present and name != "GetSlotList":
            raise Answered(name, CKR.DEVICE_REMOVED)
        act: Callable[..., Any] = getattr(self, "on_" + _CAPITAL.sub("_", name).lower())
        return act(*values)

    def call_secretly(self, name: str, *values: Any) -> Any:
        return self.call(
            name, *(bytes(each.view) if isinstance(each, Secret) else each for each in values)
        )

    def close(self) -> None:
        self.mine = False

    # --- functions ---------------------------------------------------------------------

    def on_get_slot_list(self, present: int, room: int) -> Any:
        return ((SLOT,) if self.card.present else (),)

    def on_get_token_info(self, slot: int) -> Any:
        named = ("card", "maker", "model", "0001")
        return (*named, self.card.flags(), 0, 0, 0, 0, 8, 4, 0, 0, 0, 0, (1, 0), (1, 0), "")

    def on_get_mechanism_list(self, slot: int, room: int) -> Any:
        return ((CKM.ECDSA,),)

    def on_get_mechanism_info(self, slot: int, ckm: int) -> Any:
        return 256, 256, CKF.SIGN | CKF.HW

    def on_open_session(self, slot: int, flags: int) -> Any:
        self.card.next += 1
        self.card.sessions.add(self.card.next)
        return (self.card.next,)

    def on_close_session(self, session: int) -> Any:
        self.card.sessions.discard(session)
        self.card.signing = False
        if not self.card.sessions:
            self.card.logged_in = False
        return ()

    def on_get_session_info(self, session: int) -> Any:
        state = CKS.RW_USER_FUNCTIONS if self.card.logged_in else CKS.RW_PUBLIC_SESSION
        return SLOT, state, 0, 0

    def on_login(self, session: int, user: int, pin: bytes | None) -> Any:
        card = self.card
        if card.logged_in and user == CKU.USER:
            raise Answered("Login", CKR.USER_ALREADY_LOGGED_IN)
        card.sent.append(pin)
        if card.tries == 0:
            raise Answered("Login", CKR.PIN_LOCKED)
        if pin != card.pin and not (pin is None and card.pad):
            card.tries -= 1
            raise Answered("Login", CKR.PIN_INCORRECT)
        card.tries = TRIES
        if user == CKU.CONTEXT_SPECIFIC:
            card.proved = True
        else:
            card.logged_in = True
        return ()

    def on_logout(self, session: int) -> Any:
        self.card.logged_in = False
        return ()

    def on_find_objects_init(self, session: int, template: Any) -> Any:
        self.shown = [PUBLIC, PRIVATE] if self.card.logged_in else [PUBLIC]
        return ()

    def on_find_objects(self, session: int, room: int) -> Any:
        found, self.shown = self.shown, []
        return (tuple(found),)

    def on_find_objects_final(self, session: int) -> Any:
        return ()

    def on_get_attribute_value(self, session: int, handle: int, wanted: Any) -> Any:
        told_key = self.card.another or self.card.key
        point = told_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        told: dict[int, Any] = {
            CKA.CLASS: CKO.PRIVATE_KEY if handle == PRIVATE else CKO.PUBLIC_KEY,
            CKA.KEY_TYPE: CKK.EC,
            CKA.ID: b"\1",
            CKA.LABEL: b"key",
            CKA.EC_PARAMS: P256,
            CKA.EC_POINT: der.octet_string(point) if handle == PUBLIC else None,
            CKA.PRIVATE: handle == PRIVATE,
            CKA.ALWAYS_AUTHENTICATE: self.card.always,
        }
        return tuple((cka, told.get(cka)) for cka, _ in wanted), CKR.OK

    def on_sign_once(self, session: int, mechanism: Any, key: int, data: bytes, room: int) -> Any:
        self.on_sign_init(session, mechanism, key)
        return self.on_sign(session, data, room)

    def on_sign_init(self, session: int, mechanism: Any, key: int) -> Any:
        if session not in self.card.sessions:
            raise Answered("SignInit", CKR.SESSION_HANDLE_INVALID)
        if not self.card.logged_in:
            raise Answered("SignInit", CKR.USER_NOT_LOGGED_IN)
        if self.card.signing:
            raise Answered("SignInit", CKR.OPERATION_ACTIVE)
        self.card.signing, self.card.proved = True, False
        return ()

    def on_sign(self, session: int, data: bytes, room: int) -> Any:
        card, self.card.signing = self.card, False
        if card.always and not card.proved:
            raise Answered("Sign", CKR.USER_NOT_LOGGED_IN)
        made = card.key.sign(data, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        r, s = utils.decode_dss_signature(made)
        return (r.to_bytes(32) + s.to_bytes(32),)


class Desk:
    """A card, its token, and who is asked."""

    def __init__(self, card: Card, folder: Path, *, application: bool = False) -> None:
        self.card, self.human, self.clock = card, FakeHuman(), Clock()
        self.told: list[Change] = []
        self.looks = 0
        around = Surroundings(
            Setup("module", application_login=application),
            card.lines,
            self.human,
            Policies(folder),
            self.tell,
            self.look,
        )
        who, facts = identity.read(card.lines(), SLOT)
        token: Any = token_of("card", who, facts, 1000, around)
        token.clock = self.clock
        self.token = token

    def tell(self, event: Event) -> None:
        self.told.append(event.change)

    def look(self) -> None:
        self.looks += 1

    def pin(self, pin: bytes) -> None:
        with Secret.of(pin) as typed:
            self.token.check_pin(Role.USER, typed)
