"""`keyholm serve`: the long-lived daemon with every store and door, in the foreground.

    SIGTERM SIGINT   end what was begun, within two seconds; status 0
    SIGHUP           read the configuration again
    SIGUSR1          forget what ssh-add handed over

It says one line when it is ready, to standard output and to systemd.
"""

import contextlib
import os
import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from keyholm.core.errors import KeyholmError
from keyholm.daemon import configuration, home_lock, places, sockets
from keyholm.daemon.agent_socket import Listening
from keyholm.daemon.configuration import Configuration
from keyholm.daemon.notify import Notify
from keyholm.daemon.places import Places
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.steward.server import Handlers, start
from keyholm.sandbox.process import refuse_debuggers

if TYPE_CHECKING:
    from keyholm.daemon.keeper import Keeper

DOORS: Final = ("ssh", "pkcs11", "control")
OBEYED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1})
UMASK: Final = 0o077


def serve(*, system: bool = False) -> int:
    """Until a signal; gives the exit status. Raises `KeyholmError` where it cannot begin."""
    refuse_debuggers()
    # Taken by sigtimedwait, so that no handler ever runs in the middle of something.
    signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)
    os.umask(UMASK)
    found = places.find(os.environ, system=system)
    found.prepare()
    settings = configuration.read(found.config)
    lock = home_lock.take(found.lock)
    notify = Notify(os.environ)
    handed = sockets.activated(os.environ)
    mode = configuration.socket_mode(settings, system=system)
    listening = sockets.open_all(DOORS, found, handed, mode)
    steward = start(
        partial(_handlers, found),
        at_end=lambda: sockets.remove(listening),
        # The home stays locked until the steward has removed the sockets, so that it never
        # removes those of the next daemon.
        keep={lock},
    )
    try:
        _run(found, settings, listening, steward, notify)
    finally:
        steward.close()
        os.waitpid(steward.pid, 0)
        os.close(lock)
    return 0


def _handlers(found: Places) -> Handlers:
    """In the steward."""
    from keyholm.daemon import module_files
    from keyholm.daemon.steward.work import Work, settings_from

    modules = module_files.folder(found)
    return Work(
        os.environ, lambda: settings_from(configuration.read(found.config), modules)
    ).handlers()


def _run(
    found: Places,
    settings: Configuration,
    listening: dict[str, Listening],
    steward: StewardClient,
    notify: Notify,
) -> None:
    from keyholm.daemon import wiring

    keeper = wiring.whole(found, settings, steward, listening)
    keeper.start()
    try:
        _say(f"ready, {', '.join(keeper.described())}")
        for sentence in keeper.hardening.missing():
            _warn(sentence)
        if keeper.broken is not None:
            _warn(f"{keeper.broken} Until then its keys are not there.")
        notify.ready()
        _wait(found, keeper, notify)
    finally:
        notify.stopping()
        keeper.stop()
        notify.close()


def _wait(found: Places, keeper: "Keeper", notify: Notify) -> None:
    while True:
        received = signal.sigwaitinfo(OBEYED)
        if received.si_signo == signal.SIGHUP:
            notify.reloading(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
            _reload(found, keeper)
            notify.ready()
        elif received.si_signo == signal.SIGUSR1:
            keeper.drop_memory(received)
        else:
            return


def _reload(found: Places, keeper: "Keeper") -> None:
    """What cannot be read changes nothing."""
    try:
        keeper.reload(configuration.read(found.config))
    except KeyholmError as error:
        _warn(f"{error} The configuration stays as it was.")
    else:
        _say("read the configuration again")


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more: no reason to end
        sys.stdout.write(f"keyholm: {sentence}\n")
        sys.stdout.flush()


def _warn(sentence: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"keyholm: {sentence}\n")
        sys.stderr.flush()
