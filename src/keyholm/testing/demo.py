"""The main job, for real, on a throw-away home: `python3 dev.py demo`.

Makes keys, starts the daemon and a private sshd on loopback, logs in by ssh through the
agent, signs a git commit, shows the trail and how a change of it is found, and shows one
refusal with its sentence. Needs ssh, sshd and git. Everything it starts, it ends.
"""

import argparse
import contextlib
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

NEEDED: Final = {"ssh": "openssh-client", "sshd": "openssh-server", "git": "git"}
READY_SECONDS: Final = 20.0
POLICY: Final = """\
namespaces = ["git"]
"""


class DemoFailed(Exception):
    """A step did not do what it shows; the message says which and what it printed."""


class Demo:
    """One throw-away home and what runs on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.commands = Path(sys.executable).parent
        self.environment = {
            "PATH": f"{self.commands}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "HOME": str(home / "user"),
            "KEYHOLM_HOME": str(home / "keyholm"),
            "SSH_AUTH_SOCK": str(home / "keyholm/run/ssh"),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.port = 0
        (home / "user").mkdir()

    # --- the steps ---------------------------------------------------------------------

    def run(self) -> None:
        heading("A home, a token and two keys")
        self.show("keyholm", "init", "--no-passphrase")
        with self.daemon():
            self.show("keyholm", "new", "laptop", "--type", "ed25519")
            self.show("keyholm", "new", "work", "--type", "ecdsa-p256")
            self.show("keyholm", "list")
            heading("ssh logs in to a real sshd with a key that lives in keyholm")
            self.log_in()
            heading("git signs a commit with the same key")
            self.sign_commit()
            heading("A policy: this key signs git commits and nothing else")
            self.refuse()
        heading("Every use is in the trail, and the trail proves itself")
        self.show("keyholm", "log")
        self.show("keyholm", "log", "verify")
        heading("One byte of a copy changed: it is found")
        self.tamper()

    @contextlib.contextmanager
    def daemon(self) -> Iterator[None]:
        say("$ keyholm serve &")
        with self.started(["keyholm", "serve"], pipe=True) as serve:
            line = serve.stdout.readline() if serve.stdout else ""
            if not line:
                raise DemoFailed("keyholm serve ended before it was ready.")
            print(f"  {line.rstrip()}", flush=True)
            yield

    def log_in(self) -> None:
        public = self.quiet("ssh-add", "-L")
        ssh = self.home / "user/.ssh"
        ssh.mkdir(mode=0o700)
        (self.home / "authorized_keys").write_text(public)
        for line in public.splitlines():
            (ssh / f"{line.split()[-1]}.pub").write_text(line + "\n")
        host_key = self.home / "host_key"
        self.quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key))
        with self.sshd(host_key):
            self.show(*self.ssh("laptop"), "echo logged in as $(id -un), by key")
            self.show(*self.ssh("work"), "echo and once more, by the other key")

    @contextlib.contextmanager
    def sshd(self, host_key: Path) -> Iterator[None]:
        """A private sshd on a free port of loopback."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = self.home / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.home}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
        known = host_key.with_suffix(".pub").read_text().split()[:2]
        hosts = self.home / "user/.ssh/known_hosts"
        hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(known)}\n")
        command = [self.program("sshd"), "-D", "-e", "-f", str(config)]
        with self.started(command, log=self.home / "sshd.log"):
            self.until_it_listens()
            yield

    def until_it_listens(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise DemoFailed(f"sshd does not listen: {(self.home / 'sshd.log').read_text()}")

    def ssh(self, key: str) -> list[str]:
        identity = self.home / f"user/.ssh/{key}.pub"
        return [
            *("ssh", "-F", "none", "-p", str(self.port), "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={self.home}/user/.ssh/known_hosts"),
            *("-o", "IdentitiesOnly=yes", "-i", str(identity), f"{getpass.getuser()}@127.0.0.1"),
        ]

    def sign_commit(self) -> None:
        public = (self.home / "user/.ssh/laptop.pub").read_text().split()
        signers = self.home / "allowed_signers"
        signers.write_text(f"you@example.com {public[0]} {public[1]}\n")
        work = str(self.home / "work")
        settings = {
            "user.name": "You",
            "user.email": "you@example.com",
            "gpg.format": "ssh",
            "user.signingkey": f"key::{public[0]} {public[1]}",
            "gpg.ssh.allowedSignersFile": str(signers),
        }
        self.quiet("git", "init", "-q", work)
        for name, value in settings.items():
            self.quiet("git", "-C", work, "config", name, value)
        self.show("git", "-C", work, "commit", "-q", "-S", "--allow-empty", "-m", "signed")
        self.show("git", "-C", work, "verify-commit", "HEAD")

    def refuse(self) -> None:
        rules = self.home / "git-only.toml"
        rules.write_text(POLICY)
        self.show("keyholm", "policy", "set", "work", str(rules))
        message = self.home / "message"
        message.write_text("for somebody else\n")
        key = str(self.home / "user/.ssh/work.pub")
        self.show(
            "ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", key, str(message), fails=True
        )
        self.show("keyholm", "why")

    def tamper(self) -> None:
        copy = self.home / "copy"
        shutil.copytree(self.home / "keyholm/data/trail", copy)
        segment = next(path for path in sorted(copy.rglob("*")) if path.suffix == ".segment")
        content = bytearray(segment.read_bytes())
        at = content.index(b'"laptop"') + 1 if b'"laptop"' in content else len(content) // 2
        content[at] ^= 1
        segment.write_bytes(content)
        say(f"(byte {at} of {segment.name} changed)")
        self.show("keyholm", "log", "verify", str(copy), fails=True)

    # --- running programs --------------------------------------------------------------

    def show(self, *command: str, fails: bool = False) -> None:
        """Run it in sight. `fails`: it is there to show a refusal, and must."""
        short = [word.replace(str(self.home), "~demo") for word in command]
        say(f"$ {shlex.join(short)}")
        done = self.start(command)
        for line in done.stdout.splitlines():
            print(f"  {line}", flush=True)
        if (done.returncode != 0) is not fails:
            raise DemoFailed(f"{short[0]} ended with status {done.returncode}.")

    def quiet(self, *command: str) -> str:
        done = self.start(command)
        if done.returncode:
            raise DemoFailed(f"{shlex.join(command)}: {done.stdout.strip()}")
        return done.stdout

    def start(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.program(command[0]), *command[1:]],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str], *, log: Path | None = None, pipe: bool = False
    ) -> Iterator["subprocess.Popen[str]"]:
        """Runs for as long as the block does."""
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("w")) if log else None
            process = subprocess.Popen(
                [self.program(command[0]), *command[1:]],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else output,
                stderr=None if pipe else output,
                text=True,
            )
            stack.enter_context(process)
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()

    def program(self, name: str) -> str:
        return which(name, self.environment) or name


def which(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    path = f"{environment.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin"
    return shutil.which(name, path=path)


def heading(text: str) -> None:
    line = f"\n== {text}"
    print(f"\033[1m{line}\033[0m" if sys.stdout.isatty() else line, flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="keyholm.testing.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the throw-away home behind")
    options = parser.parse_args(arguments)
    missing = [package for name, package in NEEDED.items() if which(name) is None]
    if missing:
        say(f"The demo needs: apt-get install {' '.join(missing)}")
        return 69
    begun = time.monotonic()
    # Short, since the path of a unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="keyholm-demo-"))
    try:
        Demo(home).run()
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        say(f"\nThe demo failed: {error}")
        return 1
    finally:
        if options.keep:
            say(f"\nKept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    say(f"\nDone in {time.monotonic() - begun:.1f} s. Nothing of it is left on this machine.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
