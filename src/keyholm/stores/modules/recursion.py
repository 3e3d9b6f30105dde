"""Modules that lead back to keyholm: its keys would be shown as a vendor's, and calls go in circles.

They are known by their file, before anything is loaded, and by what they say of themselves,
since a file can be called anything.
"""

import os
from typing import Final

OURS: Final = "keyholm-pkcs11."
PROXIES: Final = ("p11-kit-proxy.", "libp11-kit.so")
OUR_MANUFACTURER: Final = "keyholm"
PROXY_DESCRIPTION: Final = "PKCS#11 Kit Proxy Module"
TELLS: Final = "it would show keyholm its own keys."
PROXY: Final = "p11-kit's proxy, which loads every module that p11-kit knows, keyholm's too:"


def by_file(path: str) -> str:
    """Why the library at `path` leads back to us, in a sentence; empty: it does not seem to."""
    for name in (os.path.basename(path), os.path.basename(os.path.realpath(path))):
        if name.startswith(OURS):
            return f"{path} is keyholm's own module: {TELLS}"
        if name.startswith(PROXIES):
            return f"{path} is {PROXY} {TELLS}"
    return ""


def by_info(manufacturer: str, description: str) -> str:
    """The same by what C_GetInfo says."""
    if manufacturer.strip() == OUR_MANUFACTURER:
        return f"This is keyholm's own module: {TELLS}"
    if description.strip() == PROXY_DESCRIPTION:
        return f"This is {PROXY} {TELLS}"
    return ""
