"""Uses of a key whose data comes in parts.

The public half of a key pair needs no token: what it verifies and encrypts is done here. A
signature is made of the whole, or of its hash, in one request. What a secret key encrypts goes
through the token part by part, in a session of its own, so that others are served in between;
and nothing of what it decrypts leaves before its tag was found good.
"""

import weakref
from collections import deque
from typing import Any, Final

from keyholm.core.errors import KeyholmError, KeyNotFound, MechanismUnsupported
from keyholm.core.mechanisms import (
    AesCbc,
    AesCtr,
    AesEcb,
    Des3Cbc,
    Des3Ecb,
    Digest,
    Ecdsa,
    Hash,
    Input,
    Mechanism,
    Message,
    Opaque,
    RsaPkcs1,
    RsaPss,
    RsaRaw,
    Vendor,
    Verb,
    spelling,
)
from keyholm.core.model import Key, Kind, Object
from keyholm.core.store import Operates, Running
from keyholm.cryptoki.outward import outward
from keyholm.stores.modules.errors import Answered
from keyholm.stores.modules.line import ROOM, Line
from keyholm.stores.modules.token import ModuleToken, result, spki_of
from keyholm.stores.software import material, using
from keyholm.stores.software.hashing import HASHES
from keyholm.stores.software.running import Collected, Hashed
from keyholm.wire.pkcs11 import mechanisms as wire
from keyholm.wire.pkcs11.constants import CKA, CKF

_PUBLIC: Final = (Verb.VERIFY, Verb.ENCRYPT)
# What gives each part as it comes: a mode without a tag.
_STREAMED: Final = (AesEcb, AesCbc, AesCtr, Des3Ecb, Des3Cbc)
_FLAGS: Final = {
    Verb.SIGN: CKF.SIGN,
    Verb.VERIFY: CKF.VERIFY,
    Verb.ENCRYPT: CKF.ENCRYPT,
    Verb.DECRYPT: CKF.DECRYPT,
}
_NAMES: Final = {Verb.ENCRYPT: "Encrypt", Verb.DECRYPT: "Decrypt"}


class WithUses(ModuleToken, Operates):
    def _prepare(self) -> None:
        super()._prepare()
        # Sessions of uses that nobody ended: they close when somebody next comes by.
        self.abandoned: deque[tuple[Line, int]] = deque()

    def begin_use(self, key: Key | Object, verb: Verb, mechanism: Mechanism) -> Running:
        is_pair = isinstance(key, Object) or key.kind is Kind.PRIVATE
        if is_pair and verb in _PUBLIC:
            return self._publicly(key, verb, mechanism)
        if isinstance(key, Object) or verb not in _FLAGS:
            raise MechanismUnsupported(f"This does not {verb}.")
        entry = self.entry(key)
        self.check_open(entry)
        if verb is Verb.SIGN and key.kind is Kind.PRIVATE:
            return self._signing(key, mechanism)
        self._check(key, verb, mechanism)
        if key.kind is Kind.SECRET and verb in _NAMES and isinstance(mechanism, _STREAMED):
            return Streaming(self, key, verb, outward(mechanism))
        return Collected(lambda data, signature: self._once(key, verb, mechanism, data, signature))

    def _check(self, key: Key, verb: Verb, mechanism: Mechanism) -> None:
        listed, said = self.listed(_FLAGS[verb]), outward(mechanism).type
        allowed = key.attributes.get(CKA.ALLOWED_MECHANISMS)
        if (listed and said not in listed) or (
            allowed and isinstance(allowed, tuple) and said not in allowed
        ):
            raise MechanismUnsupported(
                f"{self.label} does not {verb} by {spelling(mechanism)} with this key.",
                remedy="Use another mechanism, or another token.",
            )

    # --- the public half ---------------------------------------------------------------

    def _publicly(self, key: Key | Object, verb: Verb, mechanism: Mechanism) -> Running:
        self.entry(key)
        if isinstance(mechanism, Vendor):
            return Collected(
                lambda data, signature: self._once(key, verb, mechanism, data, signature)
            )
        spki = spki_of(key)
        if not spki:
            raise KeyNotFound(f"{self.label} does not tell the public half of this key.")
        return using.begin(material.public_of(spki), verb, mechanism)

    # --- signatures --------------------------------------------------------------------

    def _signing(self, key: Key, mechanism: Mechanism) -> Running:
        match mechanism:
            case RsaPkcs1(Hash() as name):
                return self._hashed(key, RsaPkcs1(), name)
            case Ecdsa(Hash() as name):
                return self._hashed(key, Ecdsa(), name)
            case RsaPss(hash=name, prehashed=False):
                return self._hashed(key, mechanism, name)
            case _:
                return Collected(lambda data, _: self._of_all(key, mechanism, bytes(data)))

    def _hashed(self, key: Key, by: Mechanism, name: Hash) -> Running:
        return Hashed(HASHES[name], lambda digest, _: self.sign(key, by, Digest(name, digest)))

    def _of_all(self, key: Key, mechanism: Mechanism, data: bytes) -> bytes:
        given: Input = Message(data)
        if isinstance(mechanism, RsaPkcs1 | Ecdsa | RsaRaw):
            given = Opaque(data)
        elif isinstance(mechanism, RsaPss):
            given = Digest(mechanism.hash, data)
        return self.sign(key, mechanism, given)

    # --- all at once -------------------------------------------------------------------

    def _once(
        self, key: Key | Object, verb: Verb, mechanism: Mechanism, data: bytearray, signature: bytes
    ) -> bytes:
        said, given = outward(mechanism), bytes(data)
        public = verb in _PUBLIC and not (isinstance(key, Key) and key.kind is Kind.SECRET)

        def act(line: Line, session: int) -> bytes:
            handle = self.handle(line, session, key, public=public and isinstance(key, Key))
            return self._asked(line, session, verb, said, handle, given, signature)

        def act_with_pin(line: Line, session: int) -> bytes:
            name = "Sign" if verb is Verb.SIGN else "Decrypt"
            line.call(f"{name}Init", session, said, self.handle(line, session, key))
            self.log_in_for_one_use(line, session)
            return result(line.call(name, session, given, ROOM))

        if isinstance(key, Key) and not public and self.entry(key).always_authenticate:
            return self.use_with_pin(key, act_with_pin)
        return self.use(act)

    def _asked(
        self,
        line: Line,
        session: int,
        verb: Verb,
        said: wire.Mechanism,
        handle: int,
        data: bytes,
        signature: bytes,
    ) -> bytes:
        if verb is not Verb.VERIFY:
            name = {Verb.SIGN: "SignOnce", **{v: f"{n}Once" for v, n in _NAMES.items()}}[verb]
            return result(line.call(name, session, said, handle, data, ROOM + len(data)))
        line.call("VerifyOnce", session, said, handle, data, signature)
        return b""


class Streaming:
    """One encryption or decryption in a session of its own, begun with its first part."""

    def __init__(self, token: WithUses, key: Key, verb: Verb, mechanism: wire.Mechanism) -> None:
        self._token, self._key = token, key
        self._name, self._mechanism = _NAMES[verb], mechanism
        self._line: Line | None = None
        self._session = 0
        self._over: Any = None

    def update(self, data: bytes) -> bytes:
        return self._step(f"{self._name}Update", data, ROOM + len(data))

    def finish(self, signature: bytes = b"") -> bytes:
        rest = self._step(f"{self._name}Final", ROOM)
        self._end()
        return rest

    def _step(self, name: str, *values: Any) -> bytes:
        token = self._token
        with token.access.lock:
            if self._line is None:
                token.use(self._begin)
            line = self._line
            if line is None or line is not token.access.line or not line.alive:
                raise token.interrupted()
            try:
                return result(line.call(name, self._session, *values))
            except Answered as answered:
                self._end()
                raise token.access.error(answered) from answered
            except KeyholmError:
                self._end()
                raise

    def _begin(self, line: Line, session: int) -> None:
        token = self._token
        while token.abandoned:
            token.access.close_session(*token.abandoned.popleft())
        handle = token.handle(line, session, self._key)
        own = token.access.another(line)
        try:
            line.call(f"{self._name}Init", own, self._mechanism, handle)
        except Answered:
            token.access.close_session(line, own)
            raise
        self._line, self._session = line, own
        # Nobody says that he does not go on: then it closes with whoever comes next.
        self._over = weakref.finalize(self, token.abandoned.append, (line, own))

    def _end(self) -> None:
        if self._over is not None and self._over.detach() is not None and self._line is not None:
            self._token.access.close_session(self._line, self._session)
        self._over = None
