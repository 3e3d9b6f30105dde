"""A program that uses a PKCS#11 module as it is told: one call a line on its standard input.

python -m tests.daemon.application MODULE
> call_name [values ...]          as JSON; bytes are {"b": "hex"}, a mechanism {"m": number}
< [status, [values ...]]
"""

import json
import sys
from pathlib import Path
from typing import Any

from keyholm.stores.modules.binding.binding import Binding
from keyholm.stores.modules.binding.failing import Failed
from keyholm.stores.modules.binding.library import Library
from keyholm.wire.pkcs11.calls import BY_NAME
from keyholm.wire.pkcs11.mechanisms import Mechanism


def meant(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(meant, value))
    if isinstance(value, dict):
        return bytes.fromhex(value["b"]) if "b" in value else Mechanism(value["m"])
    return value


def told(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return [told(each) for each in value] if isinstance(value, tuple | list) else value


def main() -> None:
    library = Library.load(Path(sys.argv[1]))
    library.initialize()
    binding = Binding(library)
    for line in sys.stdin:
        name, *values = json.loads(line)
        try:
            answer = [0, told(binding.answer(BY_NAME[name], meant(values)))]
        except Failed as failed:
            answer = [failed.code, []]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
