"""The torture module does what it is told, in a process that nothing protects.

What could not hurt there would show nothing where it is kept from hurting.
"""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.torture.rig import PIN, Torture

ROOT = Path(__file__).resolve().parents[2]
GOOD = "signed 64 of 2 slots"


def started(torture: Torture, times: int = 2) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.torture.signer", str(torture.module), PIN, str(times)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src", **torture.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )


def limit() -> None:
    """As a worker has it; 10 GB would be too many for this machine."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def outcome(torture: Torture, times: int = 2) -> tuple[int, list[str], str]:
    with started(torture, times) as process:
        said, errors = process.communicate(timeout=60)
    return process.returncode, said.splitlines(), errors


def test_without_an_order_it_is_a_token_like_any_other(torture: Torture) -> None:
    assert outcome(torture) == (0, [GOOD, GOOD], "")


@pytest.mark.parametrize(
    ("act", "status"),
    [("segfault", -signal.SIGSEGV), ("abort", -signal.SIGABRT), ("exit", 3)],
)
def test_it_ends_its_process_in_the_call_it_was_told(
    torture: Torture, act: str, status: int
) -> None:
    torture.order("C_Sign", act, number=3)
    code, said, _ = outcome(torture)
    assert (code, said) == (status, [])
    assert torture.was_obeyed()
    assert outcome(torture)[1] == [GOOD, GOOD]


def test_it_loops_until_it_is_killed(torture: Torture) -> None:
    torture.order("C_Sign", "loop")
    with started(torture) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.kill()
    assert torture.was_obeyed()


@pytest.mark.parametrize(
    ("call", "act", "number", "said"),
    [
        ("C_Sign", "answer", 0x30, "C_Sign CKR_DEVICE_ERROR"),
        ("C_Sign", "late", 0x80000001, "C_Sign CKR 0x80000001"),
        ("C_Sign", "huge", 0, "signed 18446744073709551600 of 2 slots"),
        ("C_Sign", "length", 65, "signed 65 of 2 slots"),
        ("C_Sign", "grow", 0, "C_Sign CKR_BUFFER_TOO_SMALL"),
        ("C_GetSlotList", "length", 0, "signed 64 of 0 slots"),
        ("C_GetSlotList", "garbage", 0, "C_OpenSession CKR_SLOT_ID_INVALID"),
        ("C_FindObjects", "garbage", 0, "C_SignInit CKR_OBJECT_HANDLE_INVALID"),
        ("C_SignInit", "sleep", 100, GOOD),
    ],
)
def test_it_answers_what_it_was_told(
    torture: Torture, call: str, act: str, number: int, said: str
) -> None:
    torture.order(call, act, number=number)
    assert outcome(torture)[1] == [said, GOOD]


def test_it_takes_memory_and_descriptors_as_far_as_it_may(torture: Torture) -> None:
    torture.order("C_Sign", "memory")
    outcome(torture, 1)
    torture.order("C_Sign", "descriptors")
    outcome(torture, 1)
    memory, descriptors = (int(line.split()[1]) for line in torture.found())
    assert 100 < memory < 1024
    assert 200 < descriptors < 256


def test_its_child_outlives_it(torture: Torture) -> None:
    torture.order("C_Sign", "child")
    with started(torture) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [GOOD + "\n"] * 2
        process.wait(20)
        os.killpg(process.pid, signal.SIGKILL)  # fails if nobody is left
    assert torture.found() == ["fork child"]


def test_it_becomes_two(torture: Torture) -> None:
    torture.order("C_Sign", "fork")
    _, said, _ = outcome(torture)
    # Two may share a line, and the files of SoftHSM2, which they also share, confuse it.
    assert len(re.findall("signed|C_", "".join(said))) == 4


def test_it_takes_the_signals(torture: Torture) -> None:
    torture.order("C_Sign", "signals")
    with started(torture, 1_000_000) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        for _ in range(5):
            assert process.stdout.readline() == GOOD + "\n"
        process.kill()


def test_it_talks(torture: Torture) -> None:
    torture.order("C_Sign", "talk", number=3)
    assert len(outcome(torture)[2]) == 3 << 20


def test_it_connects_to_whoever_listens(torture: Torture, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as file, socket.socket() as network:
        file.bind(str(tmp_path / "s"))
        file.listen()
        network.bind(("127.0.0.1", 0))
        network.listen()
        torture.targets(
            tmp_path / "s", f"tcp:{network.getsockname()[1]}", "@nobody-has-this", "/no"
        )
        torture.order("C_Sign", "connect")
        outcome(torture, 1)
    ends = [line.rsplit(" ", 1)[-1] for line in torture.found()]
    assert ends == ["ok", "ok", "ECONNREFUSED", "ENOENT", "done"]


def test_it_reads_files_and_finds_processes(torture: Torture, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    torture.targets(tmp_path / "secret", tmp_path, tmp_path / "no")
    torture.order("C_Sign", "read")
    outcome(torture, 1)
    assert [line.rsplit(" ", 1)[-1] for line in torture.found()] == ["ok", "ok", "ENOENT", "done"]

    torture.targets(os.getpid())
    torture.order("C_Sign", "processes")
    outcome(torture, 1)
    found = torture.found()
    assert found[0] == "proc ok"
    assert any(line.startswith(f"process {os.getpid()} memory ok: ") for line in found)
    assert f"signal {os.getpid()} ok" in found


def test_it_means_one_token_of_several(torture_module: Path, tmp_path: Path) -> None:
    torture = Torture.make(torture_module, tmp_path / "both", ("one", "two"))
    torture.order("C_Sign", "answer", number=0x30, label="neither", always=True)
    assert outcome(torture)[1] == ["signed 64 of 3 slots"] * 2
    said = set()
    for label in ("one", "two"):
        torture.order("C_Sign", "answer", number=0x30, label=label, always=True)
        said.add(tuple(outcome(torture, 1)[1]))
    assert said == {("C_Sign CKR_DEVICE_ERROR",), ("signed 64 of 3 slots",)}
