"""The first lines of a worker: `python -I -S boot.py SERVICE NAME FOLDER...`.

As little of Python as there can be, since each start pays for it: no site-packages but the
folders that are named, where what the service imports must lie.
"""

import sys
from importlib import import_module

sys.path += sys.argv[3:]
# msgspec takes it where it is there, and `typing` has all that we want of it: 13 ms.
sys.modules["typing_extensions"] = None  # type: ignore[assignment]
import_module(sys.argv[1]).main()
