"""The fuzzer of answers: a short run in every test, a long one by `dev.py soak`.

It starts from good answers, which the daemon in miniature gives here, so that it gets deep.
"""

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.native.driver import ULONG, Mechanism, Module
from tests.native.fake_daemon import SLOT, FakeDaemon
from tests.native.test_hostile_daemon import Program, attributes, find, token
from tests.native.test_parameters import example, in_memory

from keyholm.wire.pkcs11.constants import CKM
from keyholm.wire.pkcs11.mechanisms import (
    MESSAGE_FORMS,
    WRAP_FORMS,
    write_message,
    write_wrap_parameter,
)
from native import build


def see_slots(program: Program) -> None:
    module = program.module
    module.GetSlotList(1, program.numbers, ctypes.byref(ULONG(8)))
    module.GetMechanismList(SLOT, program.numbers, ctypes.byref(ULONG(8)))
    module.GetSlotInfo(SLOT, program.memory)
    token(program)


def search(program: Program) -> None:
    program.module.read(program.session, 1, 3)
    find(program)
    program.module.FindObjectsFinal(program.session)


def sign(program: Program) -> None:
    for _ in range(3):
        program.module.sign_at_once(program.session, 1, b"data")


def encrypt_message(program: Program) -> None:
    form = MESSAGE_FORMS[CKM.AES_GCM]
    memory = in_memory(form, example(form))
    module, session = program.module, program.session
    module.MessageEncryptInit(session, ctypes.byref(Mechanism(CKM.AES_GCM)), 1)
    parameter = (ctypes.byref(memory), ctypes.sizeof(memory))
    module.EncryptMessage(session, *parameter, None, 0, b"plain", 5, *program.room(64))


def wrap(program: Program) -> None:
    form = WRAP_FORMS[CKM.AES_GCM]
    memory = in_memory(form, example(form))
    mechanism = Mechanism(CKM.AES_GCM, ctypes.addressof(memory), ctypes.sizeof(memory))
    arguments = (ctypes.byref(mechanism), 1, 2, None, 0, *program.room(64))
    program.module.WrapKeyAuthenticated(program.session, *arguments)


def random_bytes(program: Program) -> None:
    program.module.GenerateRandom(program.session, program.memory, 256)


# In the order of answers.c.
PROGRAMS: tuple[Callable[[Program], object], ...] = (
    see_slots,
    attributes,
    search,
    sign,
    encrypt_message,
    wrap,
    random_bytes,
)


@pytest.fixture
def corpus(module: Module, session: int, daemon: FakeDaemon, tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    message, wrapping = (forms[CKM.AES_GCM] for forms in (MESSAGE_FORMS, WRAP_FORMS))
    written = write_message(CKM.AES_GCM, example(message))
    daemon.handlers["MessageEncryptInit"] = lambda *_: ()
    daemon.handlers["EncryptMessage"] = lambda *_: (written, b"ciphertext")
    wrapped = write_wrap_parameter(CKM.AES_GCM, example(wrapping))
    daemon.handlers["WrapKeyAuthenticated"] = lambda *_: (wrapped, b"wrapped")
    program = Program(module)
    program.session = session
    # The search first, as in answers.c: it brings along what the program read until then.
    for work in sorted(PROGRAMS, key=lambda work: work is not search):
        frames: list[bytes] = []
        daemon.mangle = lambda _, frame, frames=frames: frames.append(frame[4:]) or frame
        work(program)
        assert frames
        (folder / str(PROGRAMS.index(work))).write_bytes(
            bytes([PROGRAMS.index(work)]) + b"".join(frames)
        )
    (folder / "error").write_bytes(
        b"\0" + struct.pack(">II", 0, 38) + b"\0\0\0\0\0\0\0\3uzz" + bytes(7) + b"\5"
        + b"\0\0\0\5what.\0\0\0\3do."
    )  # fmt: skip
    return folder


def test_changed_answers_make_no_sanitizer_speak(corpus: Path, tmp_path: Path) -> None:
    try:
        fuzzer = build.build_fuzzer(tmp_path / "answers")
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")
    done = subprocess.run([fuzzer, "6000", *corpus.iterdir()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
def test_valgrind_finds_no_error_and_no_leak(corpus: Path, tmp_path: Path) -> None:
    """The sanitizers see no use of memory that nobody wrote, and Python's tests no leak."""
    try:
        program = build.build_fuzzer(tmp_path / "answers", sanitized=False)
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")
    watched = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all"]
    watched += ["--errors-for-leak-kinds=all", "--error-exitcode=9", str(program), "40"]
    done = subprocess.run([*watched, *map(str, corpus.iterdir())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang, which brings libFuzzer")
def test_libfuzzer_finds_nothing_in_ten_minutes(corpus: Path, tmp_path: Path) -> None:
    fuzzer = build.build_fuzzer(tmp_path / "answers", with_libfuzzer=True)
    command = [str(fuzzer), "-max_total_time=600", "-max_len=8192", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.soak
def test_millions_of_changed_answers_make_no_sanitizer_speak(corpus: Path, tmp_path: Path) -> None:
    fuzzer = build.build_fuzzer(tmp_path / "answers")
    done = subprocess.run([fuzzer, "1000000", *corpus.iterdir()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
