"""A program that signs with a PKCS#11 module in its own process: MODULE PIN TIMES [LABEL].

Without a label it takes the token that comes first.

It writes the length of each signature, or what failed.
"""

import ctypes
import sys
from typing import Any

from tests.native.driver import ULONG, Attribute, Mechanism, _function

from keyholm.wire.pkcs11.constants import CKA, CKF, CKM, CKO, CKR, CKU
from keyholm.wire.pkcs11.functions import IN_2_40


class Functions:
    def __init__(self, path: str) -> None:
        listed = ctypes.POINTER(ctypes.c_void_p)()
        assert ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(listed)) == CKR.OK
        # After the version, which is padded to a word.
        for place, name in enumerate(IN_2_40, start=1):
            setattr(self, name, _function(name, listed[place] or 0))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def sign(functions: Functions, pin: bytes, label: bytes) -> str:
    failed: list[str] = []

    def call(name: str, *arguments: Any) -> None:
        status = getattr(functions, name)(*arguments)
        if status != CKR.OK:
            failed.append(f"C_{name} {CKR.name(status)}")
            raise StopIteration

    def is_of(slot: int) -> bool:
        info = (ctypes.c_ubyte * 512)()  # a CK_TOKEN_INFO begins with the label, of 32 bytes
        return functions.GetTokenInfo(slot, info) == CKR.OK and bytes(info[:32]).strip() == label

    slots, count = (ULONG * 16)(), ULONG(16)
    session, key, found = ULONG(), ULONG(), ULONG()
    kind = ULONG(CKO.PRIVATE_KEY)
    wanted = Attribute(CKA.CLASS, ctypes.addressof(kind), ctypes.sizeof(kind))
    signature, length = (ctypes.c_ubyte * 512)(), ULONG(512)
    try:
        call("GetSlotList", 1, slots, ctypes.byref(count))
        slot = next((each for each in slots[: count.value] if label and is_of(each)), slots[0])
        call("OpenSession", slot, CKF.SERIAL_SESSION, None, None, ctypes.byref(session))
        functions.Login(session, CKU.USER, pin, len(pin))
        call("FindObjectsInit", session, ctypes.byref(wanted), 1)
        call("FindObjects", session, ctypes.byref(key), 1, ctypes.byref(found))
        call("FindObjectsFinal", session)
        call("SignInit", session, ctypes.byref(Mechanism(CKM.ECDSA, None, 0)), key)
        call("Sign", session, bytes(32), 32, signature, ctypes.byref(length))
    except StopIteration:
        return failed[0]
    finally:
        functions.CloseSession(session)
    return f"signed {length.value} of {count.value} slots"


def main() -> None:
    functions = Functions(sys.argv[1])
    status = functions.Initialize(None)
    if status != CKR.OK:
        print(f"C_Initialize {CKR.name(status)}")
        return
    pin, label = sys.argv[2].encode(), "".join(sys.argv[4:]).encode()
    for _ in range(int(sys.argv[3])):
        print(sign(functions, pin, label), flush=True)


if __name__ == "__main__":
    main()
