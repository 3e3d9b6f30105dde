"""keyholm-agent once its socket listens: the steward, the daemon, and the signals it obeys.

SIGTERM SIGHUP   end with status 2 and remove the socket; status 0 if it was handed to us
SIGINT           the same in the foreground; ignored otherwise
SIGUSR1          forget every key
"""

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from keyholm.core.errors import KeyholmError
from keyholm.daemon.agent import OBEYED, close_standard_files
from keyholm.daemon.agent_line import CommandLine
from keyholm.daemon.agent_socket import Listening
from keyholm.daemon.places import Places, for_agent
from keyholm.daemon.steward.client import StewardClient
from keyholm.daemon.steward.server import Handlers, start

if TYPE_CHECKING:
    from keyholm.daemon.keeper import Keeper

ENDED: Final = 2  # as ssh-agent says that a signal ended it
PARENT_SECONDS: Final = 10.0


def serve(line: CommandLine, listening: Listening, watch: int | None) -> int:
    """Until a signal, or the end of the process `watch`. Gives the exit status.

    The signals are blocked already and are taken by sigtimedwait, so that no handler ever
    runs in the middle of something.
    """
    places, note = for_agent(os.environ)
    if note:
        _complain(note)
    steward = start(lambda: _handlers(line, places), at_end=listening.remove)
    try:
        keeper = _keeper(line, listening, places, steward)
        keeper.start()
        if not line.stays:
            close_standard_files(2)
        try:
            return _wait(line, listening, watch, keeper)
        finally:
            keeper.stop()
    except KeyholmError as error:
        _complain(str(error))
        return 1
    finally:
        steward.close()
        os.waitpid(steward.pid, 0)


def _complain(sentence: str) -> None:
    sys.stderr.write(f"keyholm-agent: {sentence}\n")


def _handlers(line: CommandLine, places: Places) -> Handlers:
    """In the steward."""
    if not line.stays:
        close_standard_files(2)
    from keyholm.daemon import module_files
    from keyholm.daemon.configuration import read
    from keyholm.daemon.steward.work import Work, settings_from

    modules = module_files.folder(places)
    work = Work(
        os.environ,
        lambda: settings_from(read(places.config), modules, line.providers),
        shows_itself=False,
    )
    return work.handlers()


def _keeper(
    line: CommandLine, listening: Listening, places: Places, steward: StewardClient
) -> "Keeper":
    from keyholm.daemon import configuration, wiring

    settings = configuration.read(places.config)
    return wiring.agent_only(places, settings, line, steward, listening)


def _wait(line: CommandLine, listening: Listening, watch: int | None, keeper: "Keeper") -> int:
    while True:
        received = signal.sigtimedwait(OBEYED, PARENT_SECONDS)
        if received is None:
            if watch is not None and os.getppid() != watch:
                return ENDED
            continue
        if received.si_signo == signal.SIGUSR1:
            keeper.drop_memory(received)
        elif received.si_signo != signal.SIGINT or line.stays:
            handed_over = not listening.path
            return 0 if handed_over and received.si_signo == signal.SIGTERM else ENDED
