"""What the trail can say: one class an event, its fields as they stand in the JSON.

A record holds facts and digests, never data: no message, no PIN, no secret, no arguments
of a program. `Trail.append` puts `v`, `seq`, `prev` and the two times before these fields,
so the gate builds a record with one positional call and nothing else. A field that has
its default is left out. Fields are added, never renamed or given another sense; readers
keep those they do not know. docs/protocols/trail.md explains each.
"""

from typing import Final

import msgspec

FORMAT: Final = 1
"""`v` of every record that this version writes."""


class Record(msgspec.Struct, tag_field="event", omit_defaults=True, gc=False):
    """What all events share. They hold no cycles, so the collector need not see them."""


class Head(msgspec.Struct, gc=False):
    """What stands before the facts of every record, as the reader gets it back."""

    v: int
    seq: int
    prev: str  # leaf hash of the record before, hexadecimal; zeros in the first
    t_wall: int  # microseconds since the epoch
    t_boot: int  # microseconds since boot, suspend included: it never goes backwards
    event: str


# --- uses of keys ---------------------------------------------------------------------


class Destination(msgspec.Struct, omit_defaults=True, gc=False):
    """Where ssh proved that a signature goes (session-bind)."""

    host_key: str = ""  # fingerprint of the nearest host's key
    host: str = ""  # its name, if a key file or known_hosts tells
    forwarding: bool = False
    hops: int = 0


class Session(Record, tag="session"):
    """One connection's client, once. Other records name it by this record's `seq`."""

    connection: int
    door: str
    via: str
    uid: int
    gid: int
    pid: int
    start: int = 0  # of the process, in clock ticks after boot: pid and start are unique
    exe: str = ""
    exe_device: int = 0
    exe_inode: int = 0
    exe_trusted: bool = False  # owned by root and writable by nobody else
    interpreter: bool = False
    command: str = ""  # its name, never its arguments
    unit: str = ""
    cgroup: str = ""
    tty: str = ""
    parents: tuple[str, ...] = ()


class Operation(Record, tag="operation"):
    """One use of secret material, asked for and answered.

    `result` is `ok`, `refused`, `failed`, or `intent` where the use has an effect of its
    own (a counter of tries, a touch): then an `outcome` follows that names this `seq`.
    """

    session: int
    door: str
    op: str  # sign, decrypt, derive ...
    mechanism: str
    key: str
    store: str
    token: str
    input: str  # SHA-256 of what was given, hexadecimal
    input_length: int
    output: str = ""  # SHA-256 of the result
    result: str = "ok"
    rule: str = ""  # of the policy that decided
    policy: str = ""  # hash of the policy
    latency: int = 0  # microseconds from the request to this record
    consent: str = ""  # how a human agreed, and by which prompter
    purpose: str = ""  # what was signed, if the gate could read it: ssh-userauth, sshsig ...
    user: str = ""  # the remote user of an ssh-userauth
    namespace: str = ""  # of an sshsig
    fingerprint: str = ""
    destination: Destination | None = None
    error: str = ""  # class in core/errors.py
    what: str = ""  # its sentence
    native: str = ""  # the device's own code for the failure
    suppressed: int = 0  # refusals of this caller that were counted since the last record


class Outcome(Record, tag="outcome"):
    """How the operation or the management that `intent` announced has ended."""

    intent: int
    result: str = "ok"
    output: str = ""
    latency: int = 0
    consent: str = ""
    key: str = ""  # the id of a key that the action made
    detail: dict[str, str] = {}
    error: str = ""
    what: str = ""
    native: str = ""


class Management(Record, tag="management"):
    """One act of management: generate, import, export, destroy, unlock, policy ..."""

    session: int
    door: str
    action: str
    target: str  # a place, a token, a policy: what it was done to
    result: str = "ok"  # as in `Operation`
    key: str = ""
    detail: dict[str, str] = {}  # facts of this action: names and hashes
    proof: str = ""  # what loosened a policy or exported: passphrase, pin, prompter
    consent: str = ""
    policy: str = ""  # hash of the policy afterwards
    policy_before: str = ""
    latency: int = 0
    error: str = ""
    what: str = ""
    native: str = ""
    suppressed: int = 0


class Refused(Record, tag="refused"):
    """A connection or request that got no further, or refusals that were only counted."""

    door: str
    reason: str
    session: int = 0
    uid: int = -1
    pid: int = 0
    error: str = ""
    what: str = ""
    suppressed: int = 0  # how many were counted instead of listed


# --- the trail's own life -------------------------------------------------------------


class Sibling(msgspec.Struct, gc=False):
    """The newest checkpoint of another trail of the pool."""

    origin: str
    size: int
    root: str  # base64, as in the checkpoint


class Segment(Record, tag="segment"):
    """First record of each file: the tree of all that came before, so that it stands alone."""

    peaks: tuple[str, ...]


class Opened(Record, tag="opened"):
    """A process took this trail."""

    version: str  # of keyholm
    boot_id: str
    host: str
    origin: str
    role: str
    vkey: str
    previous: str  # how the last one ended: none, closed, killed, reboot
    pid: int = 0
    uid: int = -1
    siblings: tuple[Sibling, ...] = ()


class TailLost(Record, tag="tail.lost"):
    """The machine went down without a `closed`: what was not yet synced may be missing."""

    boot_id: str  # of the boot that ended so
    last: int  # the last record that is still there
    within: int  # milliseconds: nothing older than that can be missing


class Recovered(Record, tag="recovered"):
    """Bytes that are no record stood at the end and were moved to `file`."""

    file: str
    segment: str
    offset: int
    length: int
    sha256: str


class Pruned(Record, tag="pruned"):
    """Whole segments were deleted to keep the trail under its size."""

    first: int  # the first record that is kept
    segments: tuple[str, ...]
    bytes: int
    peaks: tuple[str, ...]  # the tree of what is gone


class Witness(Record, tag="witness"):
    """A witness stopped taking checkpoints, or takes them again."""

    size: int  # of the newest checkpoint then
    result: str  # failed, or ok again
    what: str = ""


class Closed(Record, tag="closed"):
    """The process gave the trail back in good order."""

    reason: str


EVENTS: Final = (
    Session, Operation, Outcome, Management, Refused,
    Segment, Opened, TailLost, Recovered, Pruned, Witness, Closed,
)  # fmt: skip
Event = (
    Session | Operation | Outcome | Management | Refused
    | Segment | Opened | TailLost | Recovered | Pruned | Witness | Closed
)  # fmt: skip
