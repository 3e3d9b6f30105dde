"""Digests as published (FIPS 180, 202), through the door: they are no key's, so no store has them."""

import pytest
from tests.doors.pkcs11.served import ROOM, House
from tests.stores.software.published import Software, octets, records, some

from keyholm.core.mechanisms import Hash
from keyholm.cryptoki.parameters import DIGESTS
from keyholm.wire.pkcs11.mechanisms import Mechanism


def file_of(hashed: Hash) -> str:
    name = hashed.name
    folder = "SHA1" if name == "SHA1" else "SHA3" if name.startswith("SHA3_") else "SHA2"
    return f"hashes/{folder}/{name}"


@pytest.mark.parametrize("kind", ["ShortMsg", "LongMsg"])
@pytest.mark.parametrize(("ckm", "hashed"), DIGESTS.items())
def test_digests_are_those_of_nist(house: House, ckm: int, hashed: Hash, kind: str) -> None:
    program = house.program()
    session = program.open()
    found = records(f"{file_of(hashed)}{kind}.rsp", first="len")
    for each in some(Software(), [each for each in found if "md" in each], 40):
        data = octets(each, "msg")[: int(each["len"]) // 8]
        digest = program.call("DigestOnce", session, Mechanism(ckm, None), data, ROOM)
        assert digest == octets(each, "md")
        half = len(data) // 2
        program.call("DigestInit", session, Mechanism(ckm, None))
        for part in (data[:half], data[half:]):
            program.call("DigestUpdate", session, part)
        assert program.call("DigestFinal", session, ROOM) == digest
