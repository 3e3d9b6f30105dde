"""What code in a worker can do, and what it cannot: tried in real ones, as root and as an
ordinary user, and where the kernel refuses namespaces."""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOBODY = 65534
LOCK = "/var/lock"
OWN = f"/tmp/kh-sandbox-{os.getpid()}"
REFUSED = {"EPERM", "EACCES", "ENOENT", "EROFS", "ECONNREFUSED", "ENETUNREACH", "ENOSYS", "ESRCH"}


class Jail:
    """`told` by the last run."""

    def __init__(self, folder: Path, user: int | None, *words: str) -> None:
        self.folder, self._user, self._words = folder, user, words
        for name in ("declared", "reads", "writes", "home", "home/.ssh"):
            (folder / name).mkdir()
        for name in ("home/.ssh/id_rsa", "reads/config", "other", "library.so"):
            (folder / name).write_text("secret")
        if user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user)

    def tries(self, attempts: dict[str, list[Any]], **spec: Any) -> dict[str, str]:
        python, path = sys.executable, f"{ROOT / 'src'}:{ROOT}"
        if self._user is not None:
            # The environment of the tests may lie where only its owner can look.
            python = shutil.which("python3", path="/usr/bin:/bin") or python
            path = f"{path}:{sysconfig.get_path('purelib')}"
        folder = self.folder
        spec = {
            "reads": [str(folder / "reads")],
            "writes": [str(folder / "writes")],
            "sockets": [str(folder / "declared/card.sock")],
            "env": {"MODULE_CONF": "/x"},
            **spec,
        }
        order = {"spec": spec, "attempts": attempts, "library": str(folder / "library.so")}
        done = subprocess.run(
            [python, str(HERE / "jailer.py"), str(folder), str(ROOT), *self._words],
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
            input=json.dumps(order),
            cwd="/",
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user is not None else None,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        for name in ("secret.sock", "declared/card.sock"):
            (folder / name).unlink(missing_ok=True)
        unread = ("No module named", "can't open file")
        if self._user is not None and any(words in done.stderr for words in unread):
            pytest.skip("contract only: an ordinary user cannot read this environment")
        assert done.returncode == 0, done.stderr
        self.told: dict[str, Any] = json.loads(done.stdout)
        answers: dict[str, str] = self.told["answers"]
        return answers


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not in /tmp, which a worker has one of to itself.
    with tempfile.TemporaryDirectory(prefix="kh", dir="/var/tmp") as made:
        os.chmod(made, 0o755)
        yield Path(made)


USERS = ["this user", "an ordinary user"]


def user_called(name: str) -> int | None:
    if name == "this user":
        return None
    if os.geteuid() != 0:
        pytest.skip("contract only: this is an ordinary user already")
    return NOBODY


@pytest.fixture(params=USERS)
def jail(request: pytest.FixtureRequest, folder: Path) -> Jail:
    made = Jail(folder, user_called(request.param))
    made.tries({})
    if not made.told["full"]:
        pytest.skip(f"contract only: {made.told['isolation']}")
    return made


@pytest.fixture(params=USERS)
def weak_jail(request: pytest.FixtureRequest, folder: Path) -> Jail:
    """Where the kernel refuses namespaces."""
    return Jail(folder, user_called(request.param), "refuse")


def needed(folder: Path) -> dict[str, list[Any]]:
    return {
        "read what it is shown": ["read", str(folder / "reads/config")],
        "read its library": ["read", str(folder / "library.so")],
        "write where it may": ["write", str(folder / "writes/token")],
        "read that again": ["read", str(folder / "writes/token")],
        "remove it": ["unlink", str(folder / "writes/token")],
        "connect where it may": ["connect", str(folder / "declared/card.sock")],
        "load another library": ["load", "libm.so.6"],
        "start a thread": ["start a thread"],
        "import late": ["import late"],
        "know who it is": ["who am i"],
        "know the time": ["time"],
        "get random bytes": ["read", "/dev/urandom"],
        "throw away": ["write", "/dev/null"],
        "read certificates": ["list", "/etc/ssl"],
        "have its environment": ["environment", "MODULE_CONF"],
        "signal itself": ["kill", 0],
    }


def forbidden(folder: Path) -> dict[str, list[Any]]:
    return {
        "read a home": ["read", str(folder / "home/.ssh/id_rsa")],
        "read what is beside": ["read", str(folder / "other")],
        "write what it is shown": ["write", str(folder / "reads/config")],
        "write beside it": ["write", str(folder / "reads/more")],
        "write its library": ["write", str(folder / "library.so")],
        "write elsewhere": ["write", str(folder / "elsewhere")],
        "write to the system": ["write", "/usr/lib/x"],
        "write to its own code": ["open", str(ROOT / "src/keyholm/worker/host.py")],
        "read shadow": ["read", "/etc/shadow"],
        "read a disk": ["list", "/dev/mapper"],
        "bind a port": ["bind tcp"],
        "connect to a port": ["connect tcp", "TCP"],
        "send to a port": ["send udp", "UDP"],
        "connect to the abstract": ["connect abstract", "ABSTRACT"],
        "send to the abstract": ["send abstract", "DATAGRAMS"],
        "look at the keeper": ["look at", "KEEPER"],
        "read the keeper's memory": ["memory of", "KEEPER"],
        "signal the keeper": ["kill", "KEEPER"],
        "signal its parent": ["kill", "PARENT"],
        "signal everybody": ["kill", -1],
        "fork": ["fork"],
        "exec": ["exec"],
        "spawn": ["spawn"],
        "be dumped": ["be dumped"],
        "type at a terminal": ["type"],
    }


def test_what_a_library_needs_works(jail: Jail) -> None:
    attempts = needed(jail.folder)
    attempts["signal itself"] = ["kill", 2]
    attempts["use its own /tmp"] = ["write", OWN]
    attempts["share memory with itself"] = ["write", "/dev/shm/x"]
    answers = jail.tries(attempts)
    assert {name: answer for name, answer in answers.items() if not answer.startswith("ok")} == {}
    assert jail.told["isolation"] == "full"
    assert not jail.told["forks"]
    assert not os.path.exists(OWN)


def test_nothing_else_does(jail: Jail) -> None:
    attempts = forbidden(jail.folder)
    attempts["connect elsewhere"] = ["connect", str(jail.folder / "secret.sock")]
    attempts["connect to the system's bus"] = ["connect", "/run/dbus/system_bus_socket"]
    answers = jail.tries(attempts)
    assert {name: answer for name, answer in answers.items() if answer not in REFUSED} == {}


def test_it_sees_no_process_but_its_own(jail: Jail) -> None:
    answers = jail.tries(
        {"processes": ["processes"], "first": ["list", "/"], "x": ["list", "/run"]}
    )
    assert answers["processes"] in ("ok ['1', '2']", "ENOENT")
    assert "home" not in answers["first"]
    assert answers["x"] == "ENOENT"


def test_files_belong_to_whom_they_belong_for_root_and_have_their_old_names(folder: Path) -> None:
    """openCryptoki asks whose its socket is, and for /var/lock."""
    if os.geteuid() != 0:
        pytest.skip("contract only: an ordinary user can name nobody but itself in a namespace")
    jail = Jail(folder, None)
    os.chown(folder / "reads/config", 12345, 54321)
    answers = jail.tries({"owner": ["owner", str(folder / "reads/config")], "lock": ["list", LOCK]})
    assert answers["owner"] == "ok (12345, 54321)"
    if os.path.islink(LOCK):
        declared = jail.tries({"lock": ["list", LOCK]}, reads=[os.path.realpath(LOCK)])
        assert declared["lock"].startswith("ok")
    assert answers["lock"] == "ENOENT"


def test_it_has_no_capability_and_gets_none(jail: Jail) -> None:
    status = jail.tries({"status": ["status"]})["status"]
    facts = dict(line.split(":\t", 1) for line in status.splitlines()[1:])
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(facts[name], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"


def test_it_inherits_nothing_but_its_sockets(jail: Jail) -> None:
    """Three standard files, the master, one channel, and the folder that is listed."""
    assert jail.tries({"files": ["open files"]})["files"] in (
        "ok ['0', '1', '2', '3', '4', '5']",
        "ENOENT",  # a container without /proc
    )


def system_calls() -> dict[str, list[Any]]:
    from tests.worker.prisoner import NUMBERS

    return {name: [name] for name in NUMBERS}


def test_calls_that_reach_beyond_a_process_are_refused(jail: Jail) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("contract only: the numbers are those of x86_64")
    assert set(jail.tries(system_calls()).values()) == {"EPERM"}


def test_what_is_declared_is_there(jail: Jail) -> None:
    answers = jail.tries(
        {
            "connect to a port": ["connect tcp", "TCP"],
            "share memory": ["shmget"],
            "use a device": ["write", "/dev/tty0"],
            "read the resolver's file": ["read", "/etc/hosts"],
            "know its number": ["number"],
            "see others": ["processes"],
            "look at the keeper": ["look at", "KEEPER"],
            "signal the keeper": ["kill", "KEEPER"],
        },
        network=True,
        ipc=True,
    )
    assert answers["connect to a port"].startswith("ok")
    assert answers["read the resolver's file"].startswith("ok")
    assert answers["share memory"] in ("EINVAL", "ENOENT")  # asked, with arguments that are none
    assert answers["use a device"] in REFUSED
    # Who shares memory is known by its number; what others do is still not to be seen.
    assert answers["know its number"] == f"ok {jail.told['pid']}"
    for name in ("see others", "look at the keeper", "signal the keeper"):
        assert answers[name] in REFUSED


def test_a_device_that_is_declared_can_be_used(jail: Jail) -> None:
    attempts = {"device": ["read", "/dev/tty"], "another": ["read", "/dev/kmsg"]}
    answers = jail.tries(attempts, devices=["/dev/tt[y]"])
    assert answers["another"] in REFUSED
    assert answers["device"] == "ENXIO"  # the driver's answer to who has no terminal
    assert jail.tries(attempts)["device"] == "ENOENT"


# --- how much of the machine ---------------------------------------------------------


def test_memory_has_an_end(jail: Jail) -> None:
    attempts = {
        "ten gigabytes": ["malloc"],
        "shared ones": ["share"],
        "bit by bit": ["touch"],
        "it lives": ["start a thread"],
    }
    answers = jail.tries(attempts, memory_mib=256)
    assert answers["ten gigabytes"].startswith("ok")  # that is: it was told that there is none
    assert answers["shared ones"] == "ENOMEM"
    assert 64 < int(answers["bit by bit"].split()[1]) <= 256
    assert answers["it lives"] == "ok hello"


def test_descriptors_threads_and_files_have_an_end(jail: Jail) -> None:
    attempts: dict[str, list[Any]] = {
        "descriptors": ["leak"],
        "threads": ["threads"],
        "a file": ["fill", str(jail.folder / "writes/large"), 2**30],
        "its /tmp": ["fill", "/tmp/large", 2**30],
        "more": ["raise limits"],
        "it lives": ["start a thread"],
    }
    answers = jail.tries(attempts, descriptors=100, memory_mib=256)
    assert 50 < int(answers["descriptors"].split()[1]) < 100
    assert int(answers["threads"].split()[1]) < 300
    assert int(answers["a file"].split()[1]) == 256 * 2**20
    assert int(answers["its /tmp"].split()[1]) <= 64 * 2**20
    assert answers["more"] in ("ValueError", "EPERM")
    assert answers["it lives"] == "ok hello"


def test_a_gigabyte_of_complaints_costs_a_few_lines(jail: Jail) -> None:
    answers = jail.tries({"chatter": ["chatter", 2**30], "it lives": ["start a thread"]})
    assert answers["it lives"] == "ok hello"
    assert len(jail.told["log"]) < 400
    assert any("bytes more" in line for line in jail.told["log"])


# --- where the kernel refuses namespaces ---------------------------------------------


def test_without_namespaces_it_says_so_and_why(weak_jail: Jail) -> None:
    answers = weak_jail.tries(needed(weak_jail.folder))
    assert {name: answer for name, answer in answers.items() if not answer.startswith("ok")} == {
        "signal itself": "EPERM",  # 0 is its whole group
    }
    assert weak_jail.told["isolation"] == "crash only (unshare: No space left on device)"
    assert not weak_jail.told["full"]


def test_without_namespaces_files_calls_and_processes_are_closed_all_the_same(
    weak_jail: Jail,
) -> None:
    answers = weak_jail.tries(forbidden(weak_jail.folder) | system_calls())
    told = {name: answer for name, answer in answers.items() if answer not in REFUSED}
    assert told == {}


def test_without_namespaces_only_who_declares_a_socket_may_connect_to_any(weak_jail: Jail) -> None:
    attempts = {"connect": ["connect", str(weak_jail.folder / "secret.sock")]}
    assert weak_jail.tries(attempts, sockets=[])["connect"] == "EPERM"
    # This is what `crash only` means: nothing but the socket's owner keeps it from that.
    assert weak_jail.tries(attempts)["connect"].startswith("ok")
