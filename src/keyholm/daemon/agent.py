"""keyholm-agent: takes ssh-agent's command line whole and can stand in its place.

The same daemon as `keyholm serve`, with the agent door and the memory store alone: empty at
the start, through the same gate, with a trail. What it prints, how it ends and which signals
it obeys are ssh-agent's (OpenSSH 10.5), so that scripts and sessions notice nothing.

Time counts here, since a login may wait for it: the socket listens and the caller has its
answer before anything large is imported, and options are read by `getopt`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from keyholm.daemon import agent_socket
from keyholm.daemon.agent_line import LONGEST, USAGE, CommandLine, Fatal, Usage, parse
from keyholm.daemon.agent_socket import Listening
from keyholm.sandbox.process import refuse_debuggers

SOCKET_VARIABLE: Final = "SSH_AUTH_SOCK"
PID_VARIABLE: Final = "SSH_AGENT_PID"
FIRST_ACTIVATED: Final = 3  # sd_listen_fds(3)
OBEYED: Final = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1})
FATAL: Final = 255  # as OpenSSH's fatal() exits
SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status, for the process that was started; the daemon itself never returns here."""
    _open_standard_files()
    try:
        line = parse(sys.argv[1:] if arguments is None else arguments)
        return run(line)
    except Usage as error:
        sys.stderr.write(f"{error}\n{USAGE}" if str(error) else USAGE)
        return 1
    except Fatal as error:
        sys.stderr.write(f"{error}\n")
        return FATAL


# --- what the caller sees ------------------------------------------------------------


def run(line: CommandLine) -> int:
    if line.version:
        return _show_version()
    if line.clean_up:
        agent_socket.remove_stale(_home(), every_host=line.clean_up > 1)
        return 0
    if line.kill:
        return _kill_agent(line)
    refuse_debuggers()
    # From here on a signal must wait until somebody removes the socket for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)
    listening = _activated(line) or _listen(line)
    if line.stays:
        if listening.path:
            _say(
                _assignment(line, SOCKET_VARIABLE, listening.path),
                f"echo Agent pid {os.getpid()};",
            )
        return _serve(line, listening)
    parent = os.getpid()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        listening.socket.close()
        return _announce(line, listening, pid)
    status = 1
    try:
        _leave_terminal()
        status = _serve(line, listening, watch=parent if line.command else None)
    except Exception:  # noqa: BLE001 - the last stop of this process; said, then it ends
        sys.excepthook(*sys.exc_info())
    finally:
        # Whatever happens, never back into what the parent still has to do.
        os._exit(status)


def _announce(line: CommandLine, listening: Listening, pid: int) -> int:
    if not line.command:
        _say(
            _assignment(line, SOCKET_VARIABLE, listening.path),
            _assignment(line, PID_VARIABLE, str(pid)),
            f"echo Agent pid {pid};",
        )
        return 0
    environment = {**os.environ, SOCKET_VARIABLE: listening.path, PID_VARIABLE: str(pid)}
    # A program that we become inherits what we block, and what Python ignores.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OBEYED)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(line.command[0], line.command, environment)  # noqa: S606 - the user's own
    except OSError as error:
        sys.stderr.write(f"{line.command[0]}: {error.strerror}\n")
    return 1


def _show_version() -> int:
    from importlib.metadata import version

    sys.stderr.write(f"keyholm-agent {version('keyholm')}\n")
    return 0


def _kill_agent(line: CommandLine) -> int:
    number = os.environ.get(PID_VARIABLE)
    if number is None:
        sys.stderr.write(f"{PID_VARIABLE} not set, cannot kill agent\n")
        return 1
    if not (number.isascii() and number.isdigit()) or not 2 <= int(number) <= LONGEST:
        sys.stderr.write(f'{PID_VARIABLE}="{number}", which is not a good PID\n')
        return 1
    try:
        os.kill(int(number), signal.SIGTERM)
    except OSError as error:
        sys.stderr.write(f"kill: {error.strerror}\n")
        return 1
    unset = "unsetenv" if line.csh else "unset"
    _say(
        f"{unset} {SOCKET_VARIABLE};",
        f"{unset} {PID_VARIABLE};",
        f"echo Agent pid {int(number)} killed;",
    )
    return 0


def _assignment(line: CommandLine, name: str, value: str) -> str:
    quoted = quote(value)
    return f"setenv {name} {quoted};" if line.csh else f"{name}={quoted}; export {name};"


def quote(text: str) -> str:
    """For sh and csh alike; left as it is where no character means anything to them."""
    if text and SAFE.issuperset(text):
        return text
    # csh expands ! even between single quotes.
    return "'" + text.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _say(*lines: str) -> None:
    """In one piece: `grep -q` in a pipe stops reading at the line that it looks for."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


# --- sockets and process -------------------------------------------------------------


def _activated(line: CommandLine) -> Listening | None:
    """The socket that systemd listens on for us, if it does."""
    given = os.environ.get("LISTEN_PID"), os.environ.get("LISTEN_FDS")
    if not line.stays or line.address or line.in_tmp or given != (str(os.getpid()), "1"):
        return None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    import socket

    os.set_inheritable(FIRST_ACTIVATED, False)
    return Listening(socket.socket(fileno=FIRST_ACTIVATED), "")


def _listen(line: CommandLine) -> Listening:
    try:
        if line.address:
            return agent_socket.listen_at(line.address)
        if line.in_tmp:
            return agent_socket.listen_in_tmp()
        home = _home()
        if not line.no_clean_up:
            agent_socket.remove_stale(home)
        return agent_socket.listen_in_home(home)
    except OSError as error:
        where = line.address or error.filename or "the agent's socket"
        sys.stderr.write(f"keyholm-agent: cannot listen at {where}: {error.strerror or error}\n")
        raise SystemExit(1) from None


def _home() -> Path:
    if home := os.environ.get("HOME"):
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise Fatal("Couldn't determine home directory") from None


def _open_standard_files() -> None:
    """A descriptor 0, 1 or 2 that is closed would be given to the next file we open."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _leave_terminal() -> None:
    os.setsid()
    os.chdir("/")
    # Standard error stays until the daemon runs: somebody should see why it does not.
    close_standard_files(0, 1)


def close_standard_files(*numbers: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(null, number)
    os.close(null)


def _serve(line: CommandLine, listening: Listening, watch: int | None = None) -> int:
    # Only now, when the socket listens and the caller has been answered.
    from keyholm.daemon.agent_daemon import serve

    return serve(line, listening, watch)


if __name__ == "__main__":
    sys.exit(main())
