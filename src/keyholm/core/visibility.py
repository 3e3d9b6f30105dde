"""Which keys a program sees at a door at all. Pure: rules and a caller in, an answer out.

Some programs cannot bear the sight of some objects: OpenSSL's engine of libp11 0.4.12 crashes
on an Ed25519 key, even when another key is meant. So rules by program and door hide keys,
and `SHIPPED` has those that are known to be needed. That is order, not protection: what a
program is called is told by its file, and a key's policy says who may use it.

A door asks `Visibility.of(caller)` and shows what the answer `shows`; None is everything,
and is told without looking at who calls where no rule is about the door. A `Sight` is a
value: what was made for one caller is good for every other whose sight is equal.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from keyholm.core.caller import Caller, Door
from keyholm.core.model import Key, Object
from keyholm.wire.ssh.patterns import match_pattern

Held = Key | Object
COMM_SIZE: Final = 15


class Selection(Struct, frozen=True):
    """Keys and objects of which everything that is said here is true; each is a list of
    patterns with `*` and `?`, of which one must fit."""

    algorithms: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()  # `disk/main`
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    but_tokens: tuple[str, ...] = ()  # of those in `tokens`, these are not meant

    def selects(self, held: Held) -> bool:
        # Not for keyholm-agent, which is to start fast and has no rules unless it is given some.
        from keyholm.core.algorithms import algorithm_of
        from keyholm.core.naming import label_of

        place = held.place
        return (
            (not self.kinds or held.kind in self.kinds)
            and (not self.tokens or self._means(f"{place.store}/{place.token}"))
            and (not self.names or _fits(label_of(held), self.names))
            and (not self.algorithms or _fits(algorithm_of(held), self.algorithms))
        )

    def _means(self, token: str) -> bool:
        return _fits(token, self.tokens) and not _fits(token, self.but_tokens)


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(match_pattern(text, pattern) for pattern in patterns)


class Rule(Struct, frozen=True):
    programs: tuple[str, ...] = ()  # absolute paths, or names; none: every program
    door: Door | None = None  # None: every door that has rules
    hide: Selection | None = None
    only: Selection | None = None
    others_than: tuple[str, ...] = ()  # every program but these

    def is_about(self, caller: Caller) -> bool:
        if self.programs and not names(self.programs, caller):
            return False
        return not self.others_than or not names(self.others_than, caller)

    def shows(self, held: Held) -> bool:
        if self.hide is not None and self.hide.selects(held):
            return False
        return self.only is None or self.only.selects(held)


class Sight(Struct, frozen=True):
    """What one program sees at one door."""

    rules: tuple[Rule, ...]

    def shows(self, held: Held) -> bool:
        return all(rule.shows(held) for rule in self.rules)


# docs/programs.md has this table with its reasons.
_LIBP11: Final = (
    *("openssl", "curl", "nginx", "apache2", "httpd", "stunnel", "stunnel4", "osslsigncode"),
    *("psql", "pg_dump", "postgres", "wpa_supplicant", "hostapd", "eapol_test", "named"),
    *("dnssec-keyfromlabel", "dnssec-signzone", "sign-file", "sbsign", "mkimage"),
)
SHIPPED: Final = (
    # libp11 knows RSA and ECDSA; what else it sees in a token, it may crash on (0.4.12).
    Rule(_LIBP11, Door.PKCS11, hide=Selection(algorithms=("ed25519", "ed448", "x25519", "x448"))),
    Rule(_LIBP11, Door.PKCS11, hide=Selection(algorithms=("ml-dsa-*", "ml-kem-*"))),
)


class Visibility:
    """The rules in force; `use` exchanges them while callers are connected."""

    def __init__(self, rules: Sequence[Rule] = (), shipped: Sequence[Rule] = SHIPPED) -> None:
        self._shipped = tuple(shipped)
        self.use(rules)

    def use(self, rules: Sequence[Rule], always: Sequence[Rule] = ()) -> None:
        """A shipped rule counts for a program as long as none of `rules` names it; those of
        `always` count beside all others."""
        self._always = tuple(always)
        self._own = {
            door: tuple(rule for rule in rules if rule.door in (None, door)) for door in Door
        }
        self._default = {
            door: tuple(rule for rule in self._shipped if rule.door in (None, door))
            for door in Door
        }
        self._current = object()  # what was found out before holds no longer

    def of(self, caller: Caller) -> Sight | None:
        """What this caller sees; None: everything."""
        own, default, always = self._own[caller.door], self._default[caller.door], self._always
        if not own and not default and not always:
            return None
        known = caller.memory.get(self)
        if known is None or known[0] is not self._current:
            known = caller.memory[self] = (
                self._current,
                sight(own, default, caller, always),
            )
        found: Sight | None = known[1]
        return found


def sight(
    own: Sequence[Rule], shipped: Sequence[Rule], caller: Caller, always: Sequence[Rule] = ()
) -> Sight | None:
    """All that of `own` is about this caller, else about it in `shipped`; and of `always`."""
    naming = [rule for rule in own if rule.programs and names(rule.programs, caller)]
    if not naming:
        naming = [rule for rule in shipped if rule.programs and names(rule.programs, caller)]
    rules = [
        rule
        for rule in (*(rule for rule in (*own, *shipped) if not rule.programs), *naming)
        if rule.hide or rule.only
    ]
    rules += [rule for rule in always if rule.is_about(caller)]
    return Sight(tuple(rules)) if rules else None


def names(programs: Collection[str], caller: Caller) -> bool:
    """Whether the caller's program is one of these, by its path or its name.

    Behind `keyholm p11 --stdio` it is the program that started that one. The kernel keeps
    no more than the first letters of its name.
    """
    process = caller.process
    if caller.relayed:
        return bool(process.parents) and process.parents[0] in {
            program.rpartition("/")[2][:COMM_SIZE] for program in programs
        }
    program = process.executable
    return program is not None and (program.plain_path in programs or program.name in programs)
