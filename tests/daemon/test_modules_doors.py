"""Keys of SoftHSM2 through every door of a daemon, as real clients use them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.conftest import Running, until
from tests.daemon.test_consent import script
from tests.daemon.test_modules_process import library
from tests.daemon.test_serve_process import configure
from tests.interop.conftest import Home
from tests.stores.modules.softhsm import SoftHsm

from keyholm.wire.pkcs11.constants import CKA, CKF, CKM, CKO, CKR, CKU
from native import build

pytestmark = pytest.mark.interop
Start = Callable[..., Running]
SERIAL = CKF.SERIAL_SESSION
DIGEST = {"b": "11" * 32}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        return str(build.build(tmp_path_factory.mktemp("module") / build.file_here()))
    except build.NoCompiler:
        pytest.skip("no C compiler, and no ziglang")


@pytest.fixture
def hsm(home: Home, tmp_path: Path) -> SoftHsm:
    """Two keys on the token `work` of a module that the home has."""
    library()
    home.keyholm("init", "--no-passphrase")
    made = SoftHsm(tmp_path)
    made.make_token("work")
    for number, kind in enumerate(("EC:prime256v1", "rsa:2048"), 1):
        words = (
            "--keypairgen",
            "--key-type",
            kind,
            "--label",
            f"key{number}",
            "--id",
            f"0{number}",
        )
        made.tool("work", *words)
    return made


def add(home: Home, hsm: SoftHsm, login: str) -> None:
    home.keyholm(
        "module", "add", library(), "--env", f"SOFTHSM2_CONF={hsm.config}", "--login", login
    )


def unlock(home: Home) -> None:
    pin = home.folder / "pin"
    pin.write_text("1234\n")
    (token,) = [
        each["name"]
        for each in json.loads(home.keyholm("status", "--json"))["tokens"]
        if each["store"] == "modules"
    ]
    home.keyholm("unlock", token, "--passphrase-file", str(pin))


def uses(home: Home) -> int:
    """Records of signatures."""
    records = [json.loads(line) for line in home.keyholm("log", "export").splitlines()]
    return sum(each["event"] == "operation" and each["op"] == "sign" for each in records)


class Program:
    """Another process that has our module loaded."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def call(self, name: str, *values: Any) -> Any:
        """The values of the answer; the value itself, if it is one."""
        status, answer = self.tried(name, *values)
        assert status == CKR.OK, CKR.name(status)
        return answer[0] if len(answer) == 1 else answer

    def tried(self, name: str, *values: Any) -> tuple[int, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, *values]) + "\n")
        self._process.stdin.flush()
        status, answer = json.loads(self._process.stdout.readline())
        return status, answer

    def session(self, label: str = "work") -> int:
        (slot,) = [
            slot
            for slot in self.call("GetSlotList", 1, 100)
            if self.call("GetTokenInfo", slot)[0] == label
        ]
        session: int = self.call("OpenSession", slot, SERIAL)
        return session

    def key(self, session: int, label: str = "key1") -> list[int]:
        template = [
            [int(CKA.CLASS), int(CKO.PRIVATE_KEY)],
            [int(CKA.LABEL), {"b": label.encode().hex()}],
        ]
        self.call("FindObjectsInit", session, template)
        found: list[int] = self.call("FindObjects", session, 10)
        self.call("FindObjectsFinal", session)
        return found

    def log_in(self, session: int, pin: str) -> int:
        return self.tried("Login", session, int(CKU.USER), {"b": pin.encode().hex()})[0]

    def sign(self, session: int, key: int) -> int:
        return self.tried("SignOnce", session, {"m": int(CKM.ECDSA)}, key, DIGEST, 1000)[0]


@contextlib.contextmanager
def program(home: Home, module: str) -> Iterator[Program]:
    command = [sys.executable, "-m", "tests.daemon.application", module]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**home.environment, "PYTHONPATH": f"{root}:{root / 'src'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Program(process)
        assert process.stdin
        process.stdin.close()


def test_a_key_signs_through_every_door_and_each_use_is_recorded(
    serve: Start, home: Home, hsm: SoftHsm, ours: str
) -> None:
    running = serve()
    add(home, hsm, "daemon")
    unlock(home)
    agent = {"SSH_AUTH_SOCK": running.socket}
    assert home.run("ssh-add", "-l", env=agent).count("\n") == 2
    message = home.folder / "m"
    message.write_text("hello")
    lines = home.run("ssh-add", "-L", env=agent).splitlines()
    for number, line in enumerate(lines):
        public = home.folder / f"{number}.pub"
        public.write_text(line + "\n")
        words = ("-Y", "sign", "-n", "file", "-f", str(public), str(message))
        home.run("ssh-keygen", *words, env=agent)
        (home.folder / "allowed").write_text(f"me {line}\n")
        verify = "ssh-keygen -Y verify -n file -I me -f allowed -s m.sig < m"
        assert "Good" in home.run("sh", "-c", verify)
        (home.folder / "m.sig").unlink()
    home.keyholm("sign", "key1", str(message))
    with program(home, ours) as client:
        session = client.session()
        (key,) = client.key(session)
        assert client.sign(session, key) == CKR.OK
        assert client.sign(session, key) == CKR.OK
    assert uses(home) == 2 + 1 + 2


def test_one_programs_pin_opens_nothing_for_another(
    serve: Start, home: Home, hsm: SoftHsm, ours: str
) -> None:
    serve()
    add(home, hsm, "application")
    with program(home, ours) as first, program(home, ours) as second:
        one, other = first.session(), second.session()
        assert (first.key(one), second.key(other)) == ([], [])
        assert first.log_in(one, "4321") == CKR.PIN_INCORRECT
        assert first.log_in(one, "1234") == CKR.OK
        (key,) = first.key(one)
        assert first.sign(one, key) == CKR.OK
        # The module knows one login, and this program has none.
        assert second.key(other) == []
        for wrong in ("4321", "", "12345"):
            assert second.log_in(other, wrong) == CKR.PIN_INCORRECT
        assert second.key(other) == []
        assert first.sign(one, key) == CKR.OK
        assert second.log_in(other, "1234") == CKR.OK
        (own,) = second.key(other)
        assert second.sign(other, own) == CKR.OK
        # And the logout of one leaves the other where it is.
        first.call("Logout", one)
        assert first.key(one) == []
        assert second.sign(other, own) == CKR.OK


def test_a_policy_of_such_a_key_counts_at_every_door_and_after_a_restart(
    serve: Start, home: Home, hsm: SoftHsm, ours: str
) -> None:
    running = serve()
    add(home, hsm, "daemon")
    unlock(home)
    policy = home.folder / "policy.toml"
    policy.write_text('operations = ["verify"]\n')
    home.keyholm("policy", "set", "key1", str(policy))
    for _ in range(2):
        with program(home, ours) as client:
            session = client.session()
            assert client.sign(session, *client.key(session)) == CKR.FUNCTION_REJECTED
        running.end()
        running = serve()
        unlock(home)
    assert os.path.exists(home.folder / "kh/data/policies.json")


def test_who_uses_a_key_is_asked_for_the_pin_once_and_again_after_a_wrong_one(
    serve: Start, home: Home, hsm: SoftHsm
) -> None:
    """By askpass, for ssh: the first answer is wrong. After a crash of the worker nobody is asked."""
    said, answers = home.folder / "said", home.folder / "answers"
    answers.write_text("4321\n1234\n")
    askpass = script(
        home.folder,
        f'printf "%s\\n" "$1" >> {said}; head -n1 {answers}; sed -i 1d {answers}',
    )
    configure(home, f"[prompters]\naskpass = '{askpass}'\n")
    running = serve(SSH_ASKPASS_REQUIRE="force")
    add(home, hsm, "daemon")
    public = home.folder / "key.pub"
    public.write_text(running.ssh_add("-L").stdout.splitlines()[0])
    assert running.ssh_add("-T", "key.pub").returncode != 0
    assert running.ssh_add("-T", "key.pub").returncode == 0
    assert running.ssh_add("-T", "key.pub").returncode == 0
    asked = said.read_text()
    assert asked.count("PIN:") == 2
    assert "which is on the locked token" in asked
    (module,) = json.loads(home.keyholm("module", "list", "--json"))["modules"]
    os.kill(module["pid"], signal.SIGKILL)
    until(lambda: running.ssh_add("-T", "key.pub").returncode == 0)
    assert said.read_text() == asked
