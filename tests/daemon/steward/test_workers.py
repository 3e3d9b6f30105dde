"""Workers that a real steward starts, used from this process as from a keeper."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs
from tests.daemon.steward.test_steward import (
    ME,
    connected,
    refused,
    steward,
    threads_of,
    wait_for,
    waits,
)

from keyholm.core.caller import UNKNOWN_PROCESS, Peer
from keyholm.core.errors import (
    BadConfiguration,
    BadRequest,
    DaemonFailed,
    PolicyForbids,
    StoreFailed,
)
from keyholm.daemon import module_files
from keyholm.daemon.configuration import Configuration
from keyholm.daemon.module_files import ModuleSettings
from keyholm.daemon.steward import messages
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.steward.server import Handlers
from keyholm.daemon.steward.work import Settings, Work, settings_from
from keyholm.daemon.steward.workers import SHARED, Workers
from keyholm.worker.proxy import Worker, WorkerDied
from keyholm.worker.spec import Spec

ROOT = str(Path(__file__).parents[3])


def spec_of(name: str, path: str) -> Spec:
    if name == "unknown":
        raise BadConfiguration("There is no module 'unknown'.")
    return Spec(name, path)


@contextmanager
def keeper(service: str = "echo") -> Iterator[StewardClient]:
    def handlers() -> Handlers:
        workers = Workers(spec_of, f"tests.worker.{service}", folders=[ROOT])
        return {messages.Ask: waits, **workers.handlers()}

    with steward(make=handlers) as client:
        yield client


def test_a_worker_is_started_called_and_missed() -> None:
    with keeper() as client:
        worker = Worker(client, "echo")
        with worker.channel() as channel:
            assert channel.call(b"hello", 30, "C_Sign") == b"hello"
            with pytest.raises(WorkerDied, match="died of SIGSEGV during C_Sign") as raised:
                channel.call(b"crash", 30, "C_Sign")
        assert raised.value.lines == ("about to crash",)
        with worker.channel() as channel:
            assert channel.call(b"hello", 30, "C_Sign") == b"hello"
        worker.close()


def test_what_the_steward_does_not_know_it_does_not_start() -> None:
    with keeper() as client, pytest.raises(BadConfiguration, match="no module 'unknown'"):
        Worker(client, "unknown").channel()


def test_a_worker_comes_from_the_steward_and_is_no_caller() -> None:
    with keeper() as client, connected() as (connection, _):
        worker = Worker(client, "echo")
        assert not client.started(ME)
        worker.start()
        pid = worker.pid
        assert pid is not None
        assert client.started(Peer(0, 0, pid))
        assert not client.started(ME)
        assert client.identify(Peer(0, 0, pid)) == UNKNOWN_PROCESS
        assert client.identify(ME, connection).pid == os.getpid()
        worker.end()
        assert not client.started(Peer(0, 0, pid))
        worker.close()


def test_while_a_worker_runs_a_program_of_the_stewards_is_still_told_from_a_caller() -> None:
    with keeper() as client, connected() as (connection, _):
        worker = Worker(client, "echo")
        worker.start()
        asking = threading.Thread(target=refused, args=(client,), daemon=True)
        asking.start()
        assert client.identify(ME, connection).pid == os.getpid()
        worker.close()
    asking.join(5)


def test_the_worker_of_a_keeper_that_is_gone_ends() -> None:
    with keeper() as client:
        worker = Worker(client, "echo")
        worker.start()
        pid = worker.pid
        # As if the keeper had been killed: nobody says goodbye, its sockets are closed.
        assert worker._running is not None
        worker._running._master.close()
        wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_a_worker_outlives_the_steward() -> None:
    with keeper() as client:
        worker = Worker(client, "echo")
        with worker.channel() as channel:
            os.kill(client.pid, signal.SIGKILL)
            os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)
            assert channel.call(b"hello", 30, "C_Sign") == b"hello"
            with pytest.raises(WorkerDied, match="closed its connection during C_Sign"):
                channel.call(b"crash", 30, "C_Sign")
        with pytest.raises(DaemonFailed):
            worker.channel()


def test_nothing_is_left_of_workers_that_came_and_went() -> None:
    with keeper() as client:
        worker = Worker(client, "echo", clock=lambda: 0.0)
        for _ in range(20):
            with worker.channel() as channel, pytest.raises(WorkerDied):
                channel.call(b"crash", 30, "C_Sign")
            worker.forgive()
        wait_for(lambda: threads_of(client.pid) <= 10)
        left = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text().split()
        assert left == []
        assert len(os.listdir(f"/proc/{client.pid}/fd")) < 20
        worker.close()


def test_a_look_up_does_not_wait_for_a_worker_that_starts() -> None:
    """Which may take as long as it likes: here it never gets as far as to say anything."""
    with keeper("stuck") as client, connected() as (connection, _):
        worker = Worker(client, "echo")
        starting = threading.Thread(target=fails_to_start, args=(worker,))
        starting.start()
        children = Path(f"/proc/{client.pid}/task/{client.pid}/children").parents[1]
        wait_for(lambda: any(each.read_text() for each in children.glob("*/children")))
        for _ in range(50):
            assert client.identify(ME, connection).pid == os.getpid()
        assert starting.is_alive()
        (stuck,) = [pid for each in children.glob("*/children") for pid in each.read_text().split()]
        os.kill(int(stuck), signal.SIGKILL)
        starting.join()


def fails_to_start(worker: Worker) -> None:
    with pytest.raises(StoreFailed, match=r"did not start: it died of SIGKILL"):
        worker.start()


def test_it_is_told_how_well_a_worker_would_be_kept_in() -> None:
    with keeper() as client:
        assert client.isolation() == client.isolation()
        worker = Worker(client, "echo")
        worker.start()
        assert client.isolation() == str(worker.isolation)
        worker.close()


def test_without_a_steward_nobody_knows_how_well_that_would_be() -> None:
    with steward() as client:
        os.kill(client.pid, signal.SIGKILL)
        os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)
        assert client.isolation().startswith("unknown (")


def test_a_door_turns_a_worker_away(tmp_path: Path) -> None:
    """One that could come there: in full isolation none can."""
    script = str(Path(__file__).with_name("turned_away.py"))
    done = subprocess.run(
        [sys.executable, script, str(tmp_path), ROOT],
        env={"PYTHONPATH": f"{ROOT}/src:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["isolation"].startswith("crash only")
    assert "hello" in told["ours"]
    assert told["theirs"] in ("ok b''", "ECONNRESET", "EPIPE")


def test_a_provider_must_be_an_allowed_one(tmp_path: Path) -> None:
    there, elsewhere = tmp_path / "lib.so", tmp_path / "other.so"
    there.touch()
    elsewhere.touch()
    work = Work({}, lambda: Settings(providers=str(there)))
    assert work._spec_of("", str(there)) == Spec("lib.so", str(there))
    with pytest.raises(PolicyForbids, match="not in the list of allowed providers"):
        work._spec_of("", str(elsewhere))
    with pytest.raises(BadRequest):
        work._spec_of("", "")
    with pytest.raises(BadConfiguration, match="There is no module 'nss'"):
        work._spec_of("nss", str(there))


def test_a_configured_module_is_what_its_file_says_now(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.touch()
    modules = tmp_path / "modules"
    settings = ModuleSettings(str(library), init_args="x", reads=("/etc/x",), memory_mib=100)
    module_files.write(modules, "soft", settings)
    work = Work({}, lambda: settings_from(Configuration(), modules))
    assert work._spec_of("soft", "") == Spec(
        "soft", str(library), init_args="x", reads=("/etc/x",), memory_mib=100
    )
    module_files.write(modules, "soft", structs.replace(settings, enabled=False))
    with pytest.raises(BadConfiguration, match="Module soft is switched off"):
        work._spec_of("soft", "")
    with pytest.raises(BadConfiguration, match="There is no module hard"):
        work._spec_of("hard", "")
    module_files.write(modules, "soft", structs.replace(settings, sha256="0" * 64))
    with pytest.raises(BadConfiguration, match="is not the file that was pinned"):
        work._spec_of("soft", "")


def test_each_setting_of_a_sandbox_reaches_the_worker() -> None:
    elsewhere = {"name", "library"}  # said otherwise in a file
    assert elsewhere | set(SHARED) == set(Spec.__struct_fields__)
