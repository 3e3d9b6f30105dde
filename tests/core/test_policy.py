"""One policy, one answer: who may use a key, for what, when and how often."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.core.policies import (
    FILES,
    GIT,
    HOSTS,
    KEY,
    MINE,
    NOON,
    OTHER,
    PYTHON,
    SSH,
    policies,
    requests,
)

import keyholm.core.policy as package
from keyholm.core.caller import Door, Executable, Process, Via
from keyholm.core.destination import Binding
from keyholm.core.errors import ConstraintUnsupported
from keyholm.core.mechanisms import Digest, EdDsa, Hash, Message, Opaque
from keyholm.core.policy import (
    OPEN,
    Decision,
    Policy,
    Request,
    Usage,
    context_of,
    decide,
    explain,
    from_constraints,
    loosens,
    parse,
)
from keyholm.wire.ssh import keys, sshsig, userauth
from keyholm.wire.ssh.constraints import DestinationConstraint, Hop, HopKey, RestrictDestination
from keyholm.wire.ssh.sshsig import SshSig
from keyholm.wire.ssh.userauth import UserAuth

MANY = settings(max_examples=max(150, settings().max_examples))
SESSION = b"s" * 32
HOST = keys.fingerprint(HOSTS[1])
GIT_SIGNATURE = SshSig("git", "sha512", b"d" * 64)
LOGIN = UserAuth(SESSION, "deploy", userauth.SERVICE, userauth.PUBLICKEY, "ssh-ed25519", KEY)
BOUND = (Binding(HOSTS[1], SESSION, is_forwarding=False),)
REQUEST = Request(
    uid=1000,
    door=Door.AGENT,
    via=Via.DIRECT,
    process=Process(pid=7, start=1, executable=SSH, unit="ci.service"),
    key_blob=KEY,
    mechanism=EdDsa(),
    input=Message(b"m"),
    now=NOON,
)


def of(policy: Policy | str, request: Request) -> Decision:
    return decide(parse(policy) if isinstance(policy, str) else policy, request, FILES.get)


def rule(policy: Policy | str, **changes: object) -> str:
    """`yes`, or the rule that says no."""
    decision = of(policy, replace(REQUEST, **changes))
    assert decision.allowed or decision.reason.endswith(".")
    return "yes" if decision.allowed else decision.rule


def running(executable: Executable | None) -> Process:
    return Process(pid=7, start=1, executable=executable)


# --- every door alike ----------------------------------------------------------------


@MANY
@given(policies, requests)
def test_the_same_policy_gives_every_door_the_same_answer(policy: Policy, request: Request) -> None:
    without = replace(
        policy, doors=None, also=tuple(replace(part, doors=None) for part in policy.also)
    )
    answers = {of(without, replace(request, door=door)) for door in Door}
    assert len(answers) == 1


@MANY
@given(policies, requests)
def test_a_door_changes_only_whether_it_is_named(policy: Policy, request: Request) -> None:
    for door in Door:
        decision = of(policy, replace(request, door=door))
        if decision.rule.endswith("doors"):
            assert any(part.doors is not None and door not in part.doors for part in policy.parts)


@given(requests)
def test_an_open_policy_allows_everything_for_good(request: Request) -> None:
    assert of(OPEN, request) == Decision(True, "default", cacheable=True)


@MANY
@given(policies, requests, requests)
def test_a_cacheable_answer_depends_on_nothing_that_passes(
    policy: Policy, request: Request, later: Request
) -> None:
    first = of(policy, request)
    if not first.cacheable:
        return
    again = replace(request, now=later.now, usage=later.usage)
    if type(later.input) is type(request.input):
        again = replace(again, input=later.input, context=later.context)
    assert of(policy, again).allowed
    assert of(policy, again).consent is None


@pytest.mark.parametrize(
    ("policy", "cacheable"),
    [
        ("allow = [{uid = 1000}]", True),
        ("deny = [{uid = 1}]", True),
        ('doors = ["agent"]', True),
        ('operations = ["sign"]', True),
        ('mechanisms = ["eddsa"]', True),
        ('namespaces = ["git"]', False),
        ("readable = true", False),
        ('hours = "Mon-Sun 00:00-24:00 UTC"', False),
        ('expires = "2100-01-01"', False),
        ("max_uses = 9", False),
        ("rate = {per_minute = 9}", False),
        ('confirm = "15m"', False),
        ("[[also]]\nmax_uses = 9", False),
    ],
)
def test_an_answer_is_kept_where_nothing_that_passes_was_asked(
    policy: str, cacheable: bool
) -> None:
    decision = of(policy, replace(REQUEST, context=GIT_SIGNATURE))
    assert decision.allowed
    assert decision.cacheable is cacheable


@MANY
@given(policies, requests)
def test_an_explanation_ends_with_the_rule_that_decides(policy: Policy, request: Request) -> None:
    decision, steps = of(policy, request), explain(policy, request, FILES.get)
    assert steps[-1].rule == decision.rule
    assert steps[-1].outcome == ("decides" if decision.allowed else "refuse")
    assert [step.outcome for step in steps[:-1]].count("refuse") == 0
    if not decision.allowed:
        assert steps[-1].reason == decision.reason


@MANY
@given(policies, requests)
def test_what_is_refused_without_data_is_refused_with_it(policy: Policy, request: Request) -> None:
    begun = of(policy, replace(request, input=None, context=None))
    if not begun.allowed:
        assert not of(policy, request).allowed


# --- who -----------------------------------------------------------------------------


def test_a_rule_matches_whom_all_of_it_is_about() -> None:
    policy = 'allow = [{uid = 1000, unit = "ci.service"}, {uid = 0}]'
    assert rule(policy) == "yes"
    assert of(policy, REQUEST).rule == "allow[0]"
    assert rule(policy, uid=1001) == "allow"
    assert rule(policy, process=running(SSH)) == "allow"
    assert of(policy, replace(REQUEST, uid=0)).rule == "allow[1]"


def test_a_denial_goes_before_what_allows() -> None:
    policy = "allow = [{uid = 1000}]\ndeny = [{uid = 5}, {forwarded = true}]"
    assert rule(policy) == "yes"
    for via in (Via.FORWARDED, Via.RELAY, Via.UNBOUND):
        assert rule(policy, via=via) == "deny[1]"


def test_direct_callers_can_be_asked_for() -> None:
    policy = "allow = [{forwarded = false}]"
    assert rule(policy) == "yes"
    for via in (Via.FORWARDED, Via.RELAY, Via.UNBOUND):
        assert rule(policy, via=via) == "allow"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"process": running(GIT)}, "it is /usr/bin/git"),
        ({"process": running(None)}, "unknown"),
        ({"process": running(replace(SSH, device=9))}, "it is /usr/bin/ssh"),  # a bind mount
        ({"via": Via.FORWARDED}, "direct"),
        ({"via": Via.RELAY}, "direct"),
        ({"via": Via.UNBOUND}, "direct"),
    ],
)
def test_a_program_is_told_by_its_file_and_on_direct_connections(
    changes: dict[str, object], reason: str
) -> None:
    policy = 'allow = [{exe = "/usr/bin/ssh"}]'
    assert rule(policy) == "yes"
    assert rule(policy, **changes) == "allow"
    request = replace(REQUEST, **changes)
    step = explain(parse(policy), request, FILES.get)[0]
    assert (step.rule, step.outcome) == ("allow[0]", "skip")
    assert reason in step.reason


def test_another_path_of_the_same_file_is_the_same_program() -> None:
    assert rule('allow = [{exe = "/usr/bin/ssh"}]', process=running(replace(SSH, path="/x"))) == (
        "yes"
    )


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (MINE, "others than root can change /home/me/bin/ssh"),
        (PYTHON, "interpreter"),
        (replace(SSH, path="/gone"), "/gone is not there"),
    ],
)
def test_a_program_whose_name_says_nothing_matches_nothing(
    program: Executable, reason: str
) -> None:
    policy = parse(f'allow = [{{exe = "{program.path}"}}]\ndeny = [{{exe = "{program.path}"}}]')
    request = replace(REQUEST, process=running(program))
    assert of(policy, request).rule == "allow"
    assert [step.rule for step in explain(policy, request, FILES.get)] == [
        "deny[0]",
        "allow[0]",
        "allow",
    ]
    assert reason in explain(policy, request, FILES.get)[1].reason


def test_a_unit_admits_the_scripts_that_it_runs() -> None:
    script = Process(pid=7, start=1, executable=PYTHON, unit="ci.service")
    assert rule('allow = [{unit = "ci.service"}]', process=script) == "yes"


# --- for what ------------------------------------------------------------------------


def test_doors_operations_and_mechanisms_are_named() -> None:
    policy = 'doors = ["agent"]\noperations = ["sign"]\nmechanisms = ["eddsa"]'
    assert rule(policy) == "yes"
    assert rule(policy, door=Door.PKCS11) == "doors"
    assert rule(policy, operation="decrypt") == "operations"
    assert rule('mechanisms = ["ecdsa"]') == "mechanisms"


BOUND_TO_GIT = 'namespaces = ["git"]'
BOUND_TO_HOST = f'destinations = [{{host = "h1", user = "deploy", keys = ["{HOST}"]}}]'
LOGS_IN: dict[str, object] = {"context": LOGIN, "bindings": BOUND}


@pytest.mark.parametrize(
    "policy", [BOUND_TO_GIT, BOUND_TO_HOST, f"{BOUND_TO_GIT}\n{BOUND_TO_HOST}"]
)
def test_a_bound_key_signs_only_what_can_be_read(policy: str) -> None:
    names = ("namespaces", "destinations")
    assert rule(policy) in names
    for unread in (Digest(Hash.SHA256, b"d" * 32), Opaque(b"o")):
        assert rule(policy, input=unread, bindings=BOUND) in names
    decision = of(policy, replace(REQUEST, input=Digest(Hash.SHA256, b"d" * 32)))
    assert "bare digest" in decision.reason
    assert "ssh -I" in decision.remedy
    assert not decision.cacheable


def test_a_key_bound_to_namespaces_signs_in_them_and_nothing_else() -> None:
    assert rule(BOUND_TO_GIT, context=GIT_SIGNATURE) == "yes"
    assert rule(BOUND_TO_GIT, context=replace(GIT_SIGNATURE, namespace="file")) == "namespaces"
    assert rule(BOUND_TO_GIT, **LOGS_IN) == "namespaces"


def test_a_key_bound_to_destinations_logs_in_there_and_nothing_else() -> None:
    assert rule(BOUND_TO_HOST, **LOGS_IN) == "yes"
    assert not of(BOUND_TO_HOST, replace(REQUEST, context=LOGIN, bindings=BOUND)).cacheable
    assert rule(BOUND_TO_HOST, context=GIT_SIGNATURE, bindings=BOUND) == "destinations"
    assert rule(BOUND_TO_HOST, context=LOGIN) == "destinations"
    elsewhere = (Binding(HOSTS[2], SESSION, is_forwarding=False),)
    assert rule(BOUND_TO_HOST, context=LOGIN, bindings=elsewhere) == "destinations"
    root = replace(LOGIN, user="root")
    assert rule(BOUND_TO_HOST, context=root, bindings=BOUND) == "destinations"


def test_a_key_bound_to_both_does_either() -> None:
    policy = f"{BOUND_TO_GIT}\n{BOUND_TO_HOST}"
    assert rule(policy, context=GIT_SIGNATURE) == "yes"
    assert rule(policy, **LOGS_IN) == "yes"
    assert rule(policy, context=replace(GIT_SIGNATURE, namespace="file")) == "namespaces"
    assert rule(policy, context=LOGIN) == "destinations"


def test_a_key_of_which_two_policies_must_agree_does_what_both_say() -> None:
    policy = f"{BOUND_TO_GIT}\n[[also]]\n{BOUND_TO_HOST}"
    assert rule(policy, context=GIT_SIGNATURE, bindings=BOUND) == "also[0].destinations"
    assert rule(policy, **LOGS_IN) == "namespaces"


@pytest.mark.parametrize("policy", [BOUND_TO_HOST, "readable = true"])
def test_a_login_with_another_key_is_not_signed(policy: str) -> None:
    login = replace(LOGIN, key_blob=OTHER)
    assert rule(policy, **LOGS_IN) == "yes"
    assert rule(policy, context=login, bindings=BOUND) == parse_field(policy)


def parse_field(policy: str) -> str:
    return policy.partition(" ")[0]


def test_a_key_that_signs_what_can_be_read_signs_any_of_it() -> None:
    assert rule("readable = true", context=GIT_SIGNATURE) == "yes"
    assert rule("readable = true", context=LOGIN) == "yes"
    assert rule("readable = true") == "readable"
    assert rule("readable = true", input=Opaque(b"o")) == "readable"


def test_what_a_message_is_about_is_read_from_it() -> None:
    assert context_of(userauth.encode(LOGIN)) == LOGIN
    signed = context_of(sshsig.to_be_signed("git", "sha512", b"commit"))
    assert isinstance(signed, SshSig)
    assert signed.namespace == "git"


@given(st.binary() | st.binary().map(b"SSHSIG".__add__))
def test_any_bytes_have_a_meaning_or_none(data: bytes) -> None:
    assert context_of(data) is None or context_of(data) is not None


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_login_that_is_changed_in_a_byte_is_another_or_none(at: int, change: int) -> None:
    data = bytearray(userauth.encode(LOGIN))
    data[at % len(data)] ^= change
    assert context_of(bytes(data)) != LOGIN


# --- when and how often --------------------------------------------------------------


def test_hours_refuse_outside_of_them() -> None:
    assert rule('hours = "Fri 08:00-09:00 UTC"') == "yes"
    assert rule('hours = "Fri 08:00-09:00 UTC"', now=NOON + 3600) == "hours"
    assert (
        "Fri 08:00-09:00 UTC"
        in of('hours = "Fri 08:00-09:00 UTC"', replace(REQUEST, now=0.0)).reason
    )


def test_hours_of_a_place_that_this_machine_does_not_know_refuse() -> None:
    hours = parse('hours = "Mon-Sun 00:00-24:00 UTC"').hours
    assert hours
    unknown = Policy(hours=replace(hours, zone="Mars/Olympus"))
    assert rule(unknown) == "hours"
    assert "tzdata" in of(unknown, REQUEST).remedy


def test_a_key_expires_at_its_moment() -> None:
    policy = Policy(expires=NOON)
    assert rule(policy, now=NOON - 0.001) == "yes"
    assert rule(policy, now=NOON) == "expires"
    assert rule(Policy(expires=0.0)) == "expires"


def test_uses_run_out() -> None:
    assert rule("max_uses = 3", usage=Usage(2)) == "yes"
    assert rule("max_uses = 3", usage=Usage(3)) == "max_uses"


@pytest.mark.parametrize(
    ("recent", "now", "answer"),
    [
        ((), 0.0, "yes"),
        ((10.0, 10.5), 10.9, "rate"),  # two in a second
        ((10.0, 10.5), 11.0, "yes"),
        ((10.0, 20.0, 30.0), 69.9, "rate"),  # three in a minute
        ((10.0, 20.0, 30.0), 70.0, "yes"),
        ((1.0, 2.0, 3.0, 10.0, 20.0, 30.0), 70.0, "yes"),
    ],
)
def test_a_rate_is_kept_in_every_second_and_in_every_minute(
    recent: tuple[float, ...], now: float, answer: str
) -> None:
    policy = "rate = {per_minute = 3, burst = 2}"
    assert rule(policy, usage=Usage(0, recent, now)) == answer


@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.lists(st.floats(0, 20).map(lambda gap: round(gap, 2)), max_size=60),
)
def test_no_window_ever_holds_more_than_the_rate(
    per_minute: int, burst: int, gaps: list[float]
) -> None:
    burst = min(burst, per_minute)
    policy = f"rate = {{per_minute = {per_minute}, burst = {burst}}}"
    now = 0.0
    used: list[float] = []
    for gap in gaps:
        now += gap
        if rule(policy, usage=Usage(0, tuple(used), now)) == "yes":
            used.append(now)
    for start in used:
        assert sum(start <= time < start + 60 for time in used) <= per_minute
        assert sum(start <= time < start + 1 for time in used) <= burst


def test_a_human_is_asked_last_and_as_often_as_the_strictest_part_says() -> None:
    decision = of('confirm = "15m"\n[[also]]\nconfirm = "5m"', REQUEST)
    assert decision.allowed
    assert decision.consent
    assert decision.consent.minutes == 5
    assert not decision.cacheable
    assert of('confirm = "5m"\n[[also]]\nconfirm = "each"', REQUEST).consent
    assert of('confirm = "never"', REQUEST) == of(OPEN, REQUEST)
    refused = of('confirm = "each"\ndeny = [{uid = 1000}]', REQUEST)
    assert refused.consent is None


def test_a_human_is_told_the_host_that_the_policy_knows() -> None:
    request = replace(REQUEST, context=LOGIN, bindings=BOUND)
    for policy in (
        f'confirm = "5m"\n{BOUND_TO_HOST}',
        f'confirm = "5m"\n[[also]]\n{BOUND_TO_HOST}',
    ):
        decision = of(policy, request)
        assert decision.consent
        assert (decision.consent.minutes, decision.consent.host) == (5, "h1")
    decision = of('confirm = "each"', request)
    assert decision.consent
    assert decision.consent.host == ""


# --- where policies come from --------------------------------------------------------


def test_what_ssh_add_asks_for_is_a_policy() -> None:
    hop = Hop("deploy", "h1", (HopKey(HOSTS[1], False),))
    constraint = RestrictDestination((DestinationConstraint(Hop("", ""), hop),))
    policy = from_constraints(confirm=True, max_uses=3, destinations=constraint)
    assert policy == parse(f'{BOUND_TO_HOST}\nconfirm = "each"\nmax_uses = 3')
    assert from_constraints(confirm=False, max_uses=None, destinations=None) == OPEN
    with pytest.raises(ConstraintUnsupported):
        from_constraints(confirm=False, max_uses=0, destinations=None)
    websafe = from_constraints(confirm=False, max_uses=None, destinations=None, readable_only=True)
    assert loosens(OPEN, websafe) == ["namespaces or destinations"]


def test_the_policy_opens_nothing_and_asks_no_clock() -> None:
    forbidden = {"os", "time", "socket", "threading", "subprocess", "asyncio", "ctypes", "pathlib"}
    folder = Path(package.__file__).parent
    for path in (*folder.glob("*.py"), folder.parent / "destination.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & forbidden, path.name
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "open"), path.name
            assert not (isinstance(called, ast.Attribute) and called.attr == "now"), path.name
