"""Where the native module lies: the file that other programs load."""

import os
import sys
from typing import Final

FOLDER: Final = "_native"
NAMES: Final = {"darwin": "keyholm-pkcs11.dylib", "win32": "keyholm-pkcs11.dll"}


def module_file() -> str:
    """Its whole path; empty where keyholm was installed without it."""
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(above, FOLDER, NAMES.get(sys.platform, "keyholm-pkcs11.so"))
    return path if os.path.exists(path) else ""
