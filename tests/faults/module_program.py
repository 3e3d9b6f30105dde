"""A program with the PKCS#11 module, run by test_module_programs.py: threads that sign, and forks.

    module_program.py MODULE PUBLIC-KEY threads|forks|on COUNT

`on` signs until its standard input ends, and says for each line of it what was signed since the
last one. Every signature is verified; an error that no program should see ends it.
"""

import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from tests.native.driver import Failed, Module, attribute

from keyholm.wire.pkcs11.constants import CKA, CKF, CKO, CKR

SIGNERS, SHARING, BESIDE = 8, 24, 3
# What a program sees of a daemon that is gone, and of one that came and knows nothing of it.
OF_A_RESTART = frozenset(
    {
        CKR.DEVICE_ERROR,
        CKR.DEVICE_REMOVED,
        CKR.SESSION_HANDLE_INVALID,
        CKR.SLOT_ID_INVALID,
        CKR.KEY_HANDLE_INVALID,
        CKR.OPERATION_NOT_INITIALIZED,
        CKR.BUFFER_TOO_SMALL,  # the slots came between their count and their list
    }
)
OF_SHARING = frozenset({CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED})


class Signer:
    """Signs with the one key of the first token, in sessions of its own or a given one."""

    def __init__(self, module: Module, public: ec.EllipticCurvePublicKey) -> None:
        self.module, self.public = module, public
        self.session = self.key = 0

    def open(self) -> None:
        slots = self.module.slots()
        if not slots:
            raise Failed("C_GetSlotList", CKR.DEVICE_REMOVED)
        self.session = self.module.open_session(slots[0])
        (self.key,) = self.module.find(self.session, attribute(CKA.CLASS, CKO.PRIVATE_KEY))

    def sign(self) -> None:
        digest = os.urandom(32)
        signature = self.module.sign_at_once(self.session, self.key, digest)
        r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
        by = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        self.public.verify(utils.encode_dss_signature(r, s), digest, by)


# --- one session of many threads -----------------------------------------------------------


def share(signer: Signer, count: int) -> dict[str, object]:
    signer.open()
    errors: Counter[int] = Counter()

    def work(_: int) -> int:
        good = 0
        for _ in range(count):
            try:
                signer.sign()
                good += 1
            except Failed as failed:
                errors[failed.rv] += 1
                if failed.rv not in OF_SHARING:
                    raise
                time.sleep(0)  # who holds Python's lock to be refused keeps the others from work
        return good

    with ThreadPoolExecutor(SHARING) as pool:
        good = sum(pool.map(work, range(SHARING)))
    signer.module.check("SessionCancel", signer.session, CKF.SIGN)  # an init that nobody used
    signer.sign()
    return {"good": good, "errors": named(errors)}


# --- forks ---------------------------------------------------------------------------------


def fork(signer: Signer, count: int) -> dict[str, object]:
    stop = threading.Event()

    def work(_: int) -> int:
        own, good = Signer(signer.module, signer.public), 0
        own.open()
        while not stop.is_set():
            own.sign()
            good += 1
        return good

    with ThreadPoolExecutor(BESIDE) as pool:
        working = [pool.submit(work, number) for number in range(BESIDE)]
        try:
            ended = [in_child(lambda: be_a_child(signer)) for _ in range(count)]
        finally:
            stop.set()
        return {"good": sum(each.result() for each in working), "children": sum(ended)}


def in_child(work: Callable[[], None]) -> bool:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def be_a_child(signer: Signer) -> None:
    assert signer.module.CloseAllSessions(0) == CKR.CRYPTOKI_NOT_INITIALIZED
    signer.module.initialize()
    signer.open()
    signer.sign()
    signer.module.finalize()


# --- while the daemon is killed ------------------------------------------------------------


def sign_on(signer: Signer) -> dict[str, object]:
    stop = threading.Event()
    good: list[int] = [0] * SIGNERS
    errors: Counter[int] = Counter()

    def work(number: int) -> None:
        try:
            sign_until_stopped(number)
        finally:
            if not stop.is_set():  # else it would be seen only when all others end
                traceback.print_exc()
                os._exit(1)

    def sign_until_stopped(number: int) -> None:
        own = Signer(signer.module, signer.public)
        while not stop.is_set():
            try:
                if not own.session:
                    own.open()
                own.sign()
                good[number] += 1
            except Failed as failed:
                errors[failed.rv] += 1
                if failed.rv not in OF_A_RESTART:
                    raise
                own.session = 0
                time.sleep(0.005)

    with ThreadPoolExecutor(SIGNERS) as pool:
        working = [pool.submit(work, number) for number in range(SIGNERS)]
        before = list(good)
        for _ in sys.stdin:
            now = list(good)
            say({"since": [late - early for late, early in zip(now, before, strict=True)]})
            before = now
        stop.set()
        for each in working:
            each.result()
    return {"good": sum(good), "errors": named(errors)}


def named(errors: Counter[int]) -> dict[str, int]:
    return {CKR.name(rv): count for rv, count in errors.items()}


def say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    path, public, what, count = sys.argv[1:]
    key = load_ssh_public_key(public.encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    module = Module(Path(path))
    module.initialize()
    signer = Signer(module, key)
    if what == "on":
        say(sign_on(signer))
    else:
        say({"threads": share, "forks": fork}[what](signer, int(count)))
    module.finalize()


if __name__ == "__main__":
    main()
