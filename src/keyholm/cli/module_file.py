"""Where the native module lies: the file that other programs load."""

import os
import sys
from typing import Final

FOLDER: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_native")
NAME: Final = {"darwin": "keyholm-pkcs11.dylib", "win32": "keyholm-pkcs11.dll"}.get(
    sys.platform, "keyholm-pkcs11.so"
)


def module_file(folder: str = FOLDER) -> str:
    """Its whole path; empty where keyholm was installed without it."""
    path = os.path.join(folder, NAME)
    return path if os.path.exists(path) else ""
