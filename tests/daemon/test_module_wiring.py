"""What the file of a module says of programs, as rules."""

import os

from keyholm.core.caller import Caller, Door, Executable, Peer, Process
from keyholm.core.model import Key, KeyId, Origin, Place
from keyholm.core.visibility import Visibility
from keyholm.daemon.module_files import Modules, ModuleSettings
from keyholm.daemon.module_wiring import visible_rules


def sees(modules: dict[str, ModuleSettings], program: str, token: str) -> bool:
    visibility = Visibility()
    visibility.use((), visible_rules(Modules(modules, {})))
    executable = Executable(f"/usr/bin/{program}", 1, 2, trusted=True, interpreter=False)
    process = Process(1, 1, executable=executable)
    sight = visibility.of(Caller(Door.PKCS11, Peer(os.getuid(), 0, 1), lambda: process))
    place = Place("modules", token, "1")
    key = Key(KeyId("0" * 64), place, None, b"", "k", Origin.GENERATED)
    return sight is None or sight.shows(key)


def test_programs_see_the_tokens_of_modules_that_are_for_them() -> None:
    modules = {
        "card": ModuleSettings("/x.so", enable_in=("firefox",)),
        "card-2": ModuleSettings("/y.so", disable_in=("ssh",)),
    }
    assert sees(modules, "firefox", "card-work-1")
    assert not sees(modules, "ssh", "card-work-1")
    assert not sees(modules, "curl", "card-work-1")
    assert sees(modules, "firefox", "card-2-work-1")
    assert not sees(modules, "ssh", "card-2-work-1")
    assert sees(modules, "curl", "card-2-work-1")
