"""Each check of the doctor finds what it is for, and is silent where nothing is wrong."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.programs import program

from keyholm.cli.checks import daemon, files, prompters, sockets, ssh, trail
from keyholm.cli.checks.finding import BAD, GOOD, WARNING, Check, Finding, Patient
from keyholm.cli.doctor import CHECKS
from keyholm.core.audit.clock import Clock
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Closed
from keyholm.core.errors import DaemonFailed, DaemonNotRunning
from keyholm.daemon import places
from keyholm.version import VERSION

TOKEN = {
    "name": "main",
    "store": "disk",
    "guarded": True,
    "damage": [],
    "slots": [{"kind": "passphrase"}, {"kind": "recovery"}],
}
OF_THE_MACHINE = (
    "keyholm.cli.checks.module",
    "keyholm.cli.checks.programs",
    "keyholm.cli.checks.vendors",
)
STATUS: dict[str, Any] = {
    "version": VERSION,
    "pid": 1,
    "tokens": [TOKEN],
    "damage": {},
    "trail": {"directory": "/trail", "records": 3, "available": True},
    "sandbox": {
        "memory": "closed to other programs",
        "core dumps": "off",
        "seccomp": "on",
        "landlock": "ABI 7",
    },
    "isolation": "full",
    "memory_locked": True,
    "steward": True,
    "prompters": {"askpass": "", "pinentry": "not there"},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("home/data/store", "home/data/trail", "home/run"):
        (tmp_path / folder).mkdir(mode=0o700, parents=True)
    for path in tmp_path.rglob("*"):
        path.chmod(0o700)
    return tmp_path / "home"


def patient(home: Path, **changed: Any) -> Patient:
    environment = {"KEYHOLM_HOME": str(home), "HOME": str(home.parent)}
    facts: dict[str, Any] = {
        "places": places.find(environment),
        "environment": environment,
        "status": STATUS,
        "keys": (),
        "trouble": None,
        "asks": False,
        "now": time.time(),
    }
    return Patient(**facts | changed)


def only(check: Check, examined: Patient) -> Finding:
    (found,) = check(examined)
    assert (found.level == GOOD) or found.what.endswith((".", ")"))
    assert (found.level == BAD) <= (found.status > 0)
    return found


def with_status(**changed: Any) -> dict[str, Any]:
    return {**STATUS, **changed}


def test_a_healthy_home_has_nothing_bad(home: Path) -> None:
    # Which programs are here and know keyholm is the machine's business.
    checks = [check for check in CHECKS if check.__module__ not in OF_THE_MACHINE]
    found = [finding for check in checks for finding in check(patient(home))]
    assert {finding.level for finding in found} == {GOOD, WARNING}
    assert [finding.check for finding in found if finding.level != GOOD] == ["SSH_AUTH_SOCK"]


# --- the daemon ----------------------------------------------------------------------


def test_no_daemon_no_home_and_a_daemon_that_died_are_told_apart(home: Path) -> None:
    gone = {"status": None, "trouble": DaemonNotRunning("It does not run.")}
    assert only(daemon.daemon_answers, patient(home, **gone)).remedy == "keyholm serve"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "run/control"))
    assert "nobody listens" in only(daemon.daemon_answers, patient(home, **gone)).why
    empty = home.parent / "empty"
    assert only(daemon.daemon_answers, patient(empty, **gone)).remedy == "keyholm init"


def test_a_daemon_that_answers_nonsense_is_bad(home: Path) -> None:
    trouble = DaemonFailed("It said nonsense.", remedy="Do.")
    found = only(daemon.daemon_answers, patient(home, status=None, trouble=trouble))
    assert (found.level, found.what, found.remedy, found.status) == (
        BAD,
        "It said nonsense.",
        "Do.",
        70,
    )


def test_an_old_daemon_is_found(home: Path) -> None:
    found = only(daemon.versions_agree, patient(home, status=with_status(version="0.0.1")))
    assert "0.0.1" in found.what


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"sandbox": {**STATUS["sandbox"], "seccomp": "none"}}, "sandbox"),
        ({"sandbox": {**STATUS["sandbox"], "landlock": "none"}}, "sandbox"),
        ({"sandbox": {**STATUS["sandbox"], "memory": "open to this user"}}, "sandbox"),
        ({"isolation": "crash only (unshare: Operation not permitted)"}, "isolation"),
        ({"memory_locked": False}, "memory"),
        ({"steward": False}, "steward"),
    ],
)
def test_what_protects_the_daemon_is_missed(
    home: Path, changed: dict[str, Any], check: str
) -> None:
    found = only(daemon.sandbox_is_closed, patient(home, status=with_status(**changed)))
    assert found.check == check


def test_a_wrong_configuration_is_bad(home: Path) -> None:
    (home / "config.toml").write_text("[agent]\nlifetme = 1\n")
    (home / "config.toml").chmod(0o600)
    found = only(daemon.configuration_is_good, patient(home))
    assert "lifetme" in found.what
    assert "agent.lifetime" in found.remedy
    assert found.status == 78


# --- sockets -------------------------------------------------------------------------


@pytest.fixture
def listening(home: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listener:
        path = home / "run/ssh"
        listener.bind(str(path))
        listener.listen()
        yield path


def at(home: Path, sock: object) -> Patient:
    examined = patient(home)
    return examined._replace(environment={**examined.environment, "SSH_AUTH_SOCK": str(sock)})


def test_our_own_agent_is_good(home: Path, listening: Path) -> None:
    assert only(sockets.agent_is_ours, at(home, listening)).level == GOOD


def test_a_link_to_our_agent_is_good(home: Path, listening: Path) -> None:
    link = home.parent / "link"
    link.symlink_to(listening)
    assert only(sockets.agent_is_ours, at(home, link)).level == GOOD


def test_a_socket_without_a_listener_is_bad(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "run/ssh"))
    assert only(sockets.none_is_stale, patient(home)).level == BAD
    assert list(sockets.agent_is_ours(at(home, home / "run/ssh"))) == []
    assert only(sockets.agent_is_ours, at(home, home / "nowhere")).level == BAD


def test_openssh_agent_is_known_by_name(home: Path) -> None:
    path = home.parent / "other"
    agent = subprocess.Popen([program("ssh-agent"), "-D", "-a", str(path)], stdout=subprocess.PIPE)
    with agent:
        assert agent.stdout
        agent.stdout.readline()
        found = only(sockets.agent_is_ours, at(home, path))
        agent.terminate()
    assert found.what == (
        f"It names {path}, which belongs to OpenSSH's agent (process {agent.pid}), not to keyholm."
    )


@pytest.mark.parametrize(
    ("path", "who", "remedy"),
    [
        ("/run/user/1/keyring/ssh", "GNOME's keyring", "systemctl --user mask gcr-ssh-agent"),
        ("/run/user/1/gcr/ssh", "GNOME's keyring", "systemctl --user mask gcr-ssh-agent"),
        ("/run/user/1/gnupg/S.gpg-agent.ssh", "GnuPG's agent", "enable-ssh-support"),
        ("/tmp/ssh-XXXXXX/agent.1", "OpenSSH's agent", ""),
        ("/home/me/.1password/agent.sock", "1Password", ""),
        ("/tmp/what", "a program", ""),
    ],
)
def test_a_socket_that_systemd_holds_is_known_by_its_path(path: str, who: str, remedy: str) -> None:
    found, told = sockets.owner_of(path, 2**22 + 1)
    assert found.startswith(who)
    assert remedy in told


# --- keys and files ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "certificates", "level"), [(6, 0, GOOD), (7, 0, WARNING), (4, 1, WARNING)]
)
def test_more_keys_than_a_server_tries_are_found(
    home: Path, keys: int, certificates: int, level: str
) -> None:
    listed: tuple[dict[str, Any], ...] = ({"certificates": [{}] * certificates},) * keys
    assert only(ssh.few_enough_keys, patient(home, keys=listed)).level == level


@pytest.mark.parametrize("place", ["data", "run", "data/store", "data/trail"])
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o750])
def test_a_folder_that_others_reach_is_bad(home: Path, place: str, mode: int) -> None:
    (home / place).chmod(mode)
    found = only(files.files_are_private, patient(home))
    assert found.level == BAD
    assert found.remedy == f"chmod {'700' if mode == 0o750 else 'go-w'} {home / place}"


def test_ssh_configuration_that_others_write_is_bad(home: Path) -> None:
    (home.parent / ".ssh").mkdir(mode=0o700)
    (home.parent / ".ssh/config").touch()
    (home.parent / ".ssh/config").chmod(0o666)
    bad = [finding for finding in files.files_are_private(patient(home)) if finding.level == BAD]
    assert [finding.what for finding in bad] == [f"Others can write to {home.parent}/.ssh/config."]


@pytest.mark.skipif(os.geteuid() != 0, reason="contract only: needs root to give a file away")
def test_a_folder_of_somebody_else_is_bad(home: Path) -> None:
    os.chown(home / "data/store", 4242, 4242)
    found = only(files.files_are_private, patient(home))
    assert "belongs to uid 4242" in found.what


def test_a_damaged_store_is_bad(home: Path) -> None:
    token = {**TOKEN, "damage": ["entry 3f2a is missing"]}
    status = with_status(tokens=[token], damage={"disk/old": "No header."})
    found = list(files.store_is_whole(patient(home, status=status)))
    assert [finding.what for finding in found] == [
        "The token disk/old cannot be opened: No header.",
        "disk/main: entry 3f2a is missing",
    ]
    assert all(finding.status == 65 for finding in found)


def test_a_token_without_passphrase_or_recovery_is_a_warning(home: Path) -> None:
    bare = {**TOKEN, "guarded": False, "slots": []}
    forgettable = {**TOKEN, "name": "second", "slots": [{"kind": "passphrase"}]}
    card = {**TOKEN, "store": "modules", "name": "card", "slots": []}  # its maker guards it
    status = with_status(tokens=[bare, forgettable, card])
    found = list(files.tokens_are_guarded(patient(home, status=status)))
    assert [finding.what for finding in found] == [
        "No passphrase protects disk/main.",
        "disk/second has no recovery code.",
    ]


# --- the trail and the clock ---------------------------------------------------------


class Times:
    """Seconds; the time of day can be set, as `date` does."""

    def __init__(self) -> None:
        self.day, self.boot = 1_790_000_000, 1_000
        self.clock = Clock(lambda: self.day * 10**9, lambda: self.boot * 10**9)

    def pass_by(self, seconds: int) -> None:
        self.day += seconds
        self.boot += seconds


@pytest.mark.parametrize(
    ("jump", "found"),
    [
        (0, []),
        (200, []),
        (-200, []),
        (3600, ["The clock jumped forward by 3600 s before record"]),
        (-86_400, ["The clock jumped back by 86400 s before record"]),
    ],
)
def test_a_clock_that_jumped_is_found(home: Path, jump: int, found: list[str]) -> None:
    times = Times()
    with open_trail(home / "data/trail", "serve", clock=times.clock) as made:
        for _ in range(3):
            times.pass_by(1000)
            made.append(Closed("test"))
        times.day += jump
        made.append(Closed("test"))
    told = [finding.what for finding in trail.clock_is_steady(patient(home, now=times.day))]
    assert [what.partition(" record ")[0] + " record" for what in told] == found


def test_a_clock_behind_the_newest_record_is_bad(home: Path) -> None:
    times = Times()
    with open_trail(home / "data/trail", "serve", clock=times.clock):
        pass
    found = only(trail.clock_is_steady, patient(home, now=times.day - 1000.0))
    assert found.what == "The clock is 1000 s behind the newest record of serve-0."


def test_a_trail_that_cannot_be_written_is_bad(home: Path) -> None:
    status = with_status(trail={"directory": "/trail", "records": 3, "available": False})
    assert only(trail.trail_is_written, patient(home, status=status)).status == 74


def test_a_trail_that_was_changed_is_bad(home: Path) -> None:
    with open_trail(home / "data/trail", "serve") as made:
        for _ in range(3):
            made.append(Closed("test"))
    assert only(trail.trail_is_whole, patient(home)).level == GOOD
    (segment,) = (home / "data/trail").rglob("*.segment")
    content = bytearray(segment.read_bytes())
    content[content.index(b'"reason"') + 2] ^= 1
    segment.write_bytes(content)
    found = list(trail.trail_is_whole(patient(home)))
    assert found
    assert {finding.level for finding in found} == {BAD}


# --- prompters -----------------------------------------------------------------------


def test_nobody_to_ask_is_bad_with_every_reason(home: Path) -> None:
    status = with_status(prompters={"askpass": "no program", "terminal": "no terminal"})
    found = only(prompters.somebody_can_be_asked, patient(home, status=status))
    assert found.level == BAD
    assert "askpass: no program terminal: no terminal" in found.why


def test_somebody_to_ask_is_good(home: Path) -> None:
    found = only(prompters.somebody_can_be_asked, patient(home))
    assert found.what == "askpass can ask (not tried: --prompt tries)."
