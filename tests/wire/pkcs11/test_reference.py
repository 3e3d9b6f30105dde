"""The reference is what the tables say."""

import re
from pathlib import Path

from tests.wire.pkcs11 import header

from keyholm.wire.pkcs11 import reference
from keyholm.wire.pkcs11.attributes import KINDS
from keyholm.wire.pkcs11.calls import CALLS
from keyholm.wire.pkcs11.mechanisms import FORMS, MESSAGE_FORMS, PARAMETERLESS, WRAP_FORMS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "pkcs11.md"


def test_the_reference_is_current() -> None:
    remedy = "python -m keyholm.wire.pkcs11.reference > docs/reference/pkcs11.md"
    assert PAGE.read_text() == reference.document(), remedy


def test_every_function_of_the_standard_has_its_errors() -> None:
    sections = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)
    with_errors = {text.split()[0] for text in sections if "- errors: CKR_" in text}
    assert header.prototypes().keys() <= with_errors
    assert {call.name for call in CALLS if call.function is None} <= with_errors


def test_every_attribute_mechanism_and_structure_is_there() -> None:
    text = PAGE.read_text()
    assert len(re.findall(r"^\| 0x\w+ \| CKA_", text, re.MULTILINE)) == len(KINDS)
    assert len(re.findall(r"^\| 0x\w+ \| CKM_", text, re.MULTILINE)) == len(FORMS)
    assert text.partition("### Without a parameter")[2].partition("###")[0].count("CKM_") == len(
        PARAMETERLESS
    )
    for form in (*FORMS.values(), *WRAP_FORMS.values(), *MESSAGE_FORMS.values()):
        assert f"#### {form.structure}\n" in text
