"""What is generated is what the tables say, and the lists have the order of the standard."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keyholm.wire.pkcs11.calls import CALLS, Version
from keyholm.wire.pkcs11.functions import IN_2_40, IN_3_0, IN_3_2
from native import build, generate

P11_KIT = Path("/usr/include/p11-kit-1/p11-kit/pkcs11.h")


@pytest.mark.parametrize("name", ["calls.h", "stubs.c", "forms.c"])
def test_a_generated_file_is_what_the_tables_make_of_it(name: str) -> None:
    path = generate.NATIVE / name
    assert path.read_text() == generate.written()[path], "python3 -m native.generate"


def test_the_function_lists_have_every_function_of_their_version() -> None:
    listed = {
        Version.V2_40: set(IN_2_40),
        Version.V3_0: set(IN_3_0),
        Version.V3_2: set(IN_3_2),
    }
    for version, names in listed.items():
        of_table = {call.function for call in CALLS if call.since is version and call.function}
        assert {f"C_{name}" for name in names} == of_table
    assert [len(names) for names in listed.values()] == [68, 24, 12]


def test_each_function_is_generated_or_written_by_hand_but_not_both() -> None:
    stubs = (generate.NATIVE / "stubs.c").read_text()
    generated = set(re.findall(r"^C_(\w+)\(", stubs, re.MULTILINE))
    assert not generated & generate.hand_written()
    assert generated | generate.hand_written() == set(generate.functions())


LAYOUT = """
#include <stdio.h>
#include <stddef.h>
{includes}
#define SHOW(type, member) printf(#type "." #member " %zu\\n", offsetof(type, member))
int main(void) {{
{lines}
return 0; }}
"""
SHARED = {
    "CK_INFO": "cryptokiVersion manufacturerID flags libraryDescription libraryVersion",
    "CK_SLOT_INFO": "slotDescription manufacturerID flags hardwareVersion firmwareVersion",
    "CK_TOKEN_INFO": "label model serialNumber flags ulMaxSessionCount ulFreePrivateMemory utcTime",
    "CK_SESSION_INFO": "slotID state flags ulDeviceError",
    "CK_ATTRIBUTE": "type pValue ulValueLen",
    "CK_MECHANISM": "mechanism pParameter ulParameterLen",
    "CK_MECHANISM_INFO": "ulMinKeySize ulMaxKeySize flags",
    "CK_RSA_PKCS_OAEP_PARAMS": "hashAlg mgf source pSourceData ulSourceDataLen",
    "CK_ECDH1_DERIVE_PARAMS": "kdf pSharedData ulSharedDataLen pPublicData ulPublicDataLen",
    "CK_AES_CTR_PARAMS": "ulCounterBits cb",
    "CK_GCM_PARAMS": "pIv ulIvLen ulIvBits pAAD ulAADLen ulTagBits",
    "CK_KEY_DERIVATION_STRING_DATA": "pData ulLen",
}


@pytest.mark.skipif(not P11_KIT.exists(), reason="no libp11-kit-dev, whose layouts are compared")
def test_structures_and_the_list_of_2_40_lie_in_memory_as_p11_kit_has_them(tmp_path: Path) -> None:
    """Another implementation's header, written from the same standard."""
    members = [(kind, name) for kind, names in SHARED.items() for name in names.split()]
    members += [("CK_FUNCTION_LIST", f"C_{name}") for name in IN_2_40]
    ours = _layout(tmp_path / "ours", ('"calls.h"', '"parameters.h"'), members)
    assert ours == _layout(tmp_path / "theirs", ("<p11-kit/pkcs11.h>",), members)


def _layout(program: Path, headers: tuple[str, ...], members: list[tuple[str, str]]) -> str:
    compiler = build.system_compiler()
    if compiler is None or shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler of the system")
    source = program.with_suffix(".c")
    lines = "\n".join(f"SHOW({kind}, {name});" for kind, name in members)
    includes = "\n".join(f"#include {header}" for header in headers)
    source.write_text(LAYOUT.format(includes=includes, lines=lines))
    where = [f"-I{build.SOURCES}", f"-I{P11_KIT.parent.parent}"]
    subprocess.run([*compiler, *where, "-o", program, source], check=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout
