"""What runs in the worker of a module: it is loaded, and each channel calls it.

python -I -S boot.py keyholm.stores.modules.host NAME FOLDER...
"""

import os
import socket
from typing import NoReturn

from keyholm.stores.modules import answering
from keyholm.stores.modules.binding.binding import Binding
from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.library import Library
from keyholm.stores.modules.binding.library import LoadFailed as NotLoaded
from keyholm.stores.modules.binding.quirks import forms_of
from keyholm.stores.modules.info import ModuleInfo, encode_info
from keyholm.wire.pkcs11.calls import BY_NAME
from keyholm.worker import host
from keyholm.worker.spec import Spec


class ModuleService:
    """One module: `keyholm.worker.host.Service`."""

    def __init__(self) -> None:
        self._library: Library | None = None

    def load(self, spec: Spec) -> bytes:
        os.environ.update(spec.env)  # what the library reads with getenv()
        try:
            library = Library.load(spec.library)
            library.initialize(spec.init_args)
            info = module_info(library)
            library.forms = forms_of(info.manufacturer)
        except NotLoaded as error:
            raise host.LoadFailed(error.step, error.what, error.code) from error
        self._library = library
        return encode_info(info)

    def serve(self, channel: socket.socket) -> None:
        if self._library is not None:
            answering.serve(self._library, channel)

    def end(self) -> None:
        """openCryptoki's daemon waits for those that do not say that they go."""
        if self._library is not None:
            self._library.finalize()


def module_info(library: Library) -> ModuleInfo:
    """Raises `LoadFailed`: a module that cannot say who it is will not sign either."""
    try:
        version, manufacturer, _, description, own = Binding(library).answer(BY_NAME["GetInfo"], ())
    except Failed as failed:
        raise NotLoaded("initialize", failed.what, failed.code) from failed
    return ModuleInfo(
        version,
        manufacturer,
        description,
        own,
        library.version,
        tuple(library.functions),
        library.is_serial,
    )


def main() -> NoReturn:
    host.run(ModuleService())
