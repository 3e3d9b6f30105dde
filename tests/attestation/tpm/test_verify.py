"""Evidence: the good cases, and more than two hundred bad ones, each refused by its own name."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.attestation.tpm.machine import (
    CERTIFIES,
    ENCIPHERS,
    NONCE,
    NOT_AN_AUTHORITY,
    NOW,
    OF_AK,
    OF_EK,
    OF_KEY,
    SPECIFIC,
    USES,
    Given,
    Machine,
    authority,
    certificate,
    ec_key,
    endorsement_certificate,
    intermediate,
    machines,
    public_of,
    root,
    rsa_key,
    trust,
    usage,
)

from keyholm.attestation.tpm.certificates import Trust, anchor
from keyholm.attestation.tpm.evidence import MOST, Evidence, Statement, read, write
from keyholm.attestation.tpm.refusals import Reason, Refused
from keyholm.attestation.tpm.verify import Verdict, Wanted, verify
from keyholm.wire import der
from keyholm.wire.tpm2.constants import ALG, CURVE, OBJECT, ST
from keyholm.wire.tpm2.structures import (
    ATTEST,
    PUBLIC,
    Certified,
    EccParameters,
    KeyedHashParameters,
    Point,
    RsaParameters,
    Symmetric,
)

ASKED = Wanted(nonce=NONCE)


def check(evidence: Evidence, wanted: Wanted = ASKED, **how: Any) -> Verdict:
    return verify(evidence, how.get("trust") or trust(), how.get("now", NOW), wanted)


def refused(evidence: Evidence, *reasons: Reason, wanted: Wanted = ASKED, **how: Any) -> None:
    with pytest.raises(Refused) as found:
        check(evidence, wanted, **how)
    assert found.value.reason in reasons, found.value


def year(number: int) -> dt.datetime:
    return dt.datetime(number, 1, 1, tzinfo=dt.UTC)


# --- good ----------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", machines(), ids=["RSA endorsement key", "EC endorsement key"])
def test_a_key_of_a_tpm_is_one(machine: Machine) -> None:
    verdict = check(machine.evidence())
    assert verdict.vendor == "the test's root"
    assert verdict.key.key == machine.key.public_key()
    assert (verdict.firmware, verdict.resets, verdict.guarded) == (0x1234, 7, False)
    assert verdict.pcrs is None


def test_evidence_is_the_same_after_its_way_through_a_file() -> None:
    evidence = Machine().evidence()
    assert read(write(evidence)) == evidence
    check(read(write(evidence)))


def test_a_quote_vouches_for_the_pcrs_that_are_given() -> None:
    machine, pcrs = Machine(), {0: bytes(32), 7: b"7" * 32}
    said = {str(number): value for number, value in pcrs.items()}
    good = machine.evidence(quote=machine.quote(pcrs), pcrs=said)
    assert check(good, Wanted(nonce=NONCE, quote=True)).pcrs == pcrs


def test_a_machine_that_is_meant() -> None:
    machine = Machine()
    mine = frozenset({check(machine.evidence()).endorsement_hash})
    check(machine.evidence(), Wanted(nonce=NONCE, endorsements=mine))
    others = Wanted(nonce=NONCE, endorsements=frozenset({bytes(32)}))
    refused(machine.evidence(), Reason.ENDORSEMENT_OTHER_KEY, wanted=others)


def test_a_key_under_an_approved_policy() -> None:
    machine = Machine()
    attributes = OF_KEY & ~OBJECT.USERWITHAUTH
    machine.key_public = replace(machine.key_public, policy=b"p" * 32, attributes=attributes)
    wanted = Wanted(nonce=NONCE, policies=frozenset({b"p" * 32}))
    assert check(machine.evidence(), wanted).guarded
    none = Wanted(nonce=NONCE, policies=frozenset())
    refused(machine.evidence(), Reason.KEY_POLICY, wanted=none)
    machine.key_public = replace(machine.key_public, attributes=OF_KEY)
    refused(machine.evidence(), Reason.KEY_POLICY, wanted=wanted)


def test_a_key_on_another_curve() -> None:
    check(Machine(key=ec_key(4, ec.SECP384R1)).evidence())


# --- attributes, bit by bit ------------------------------------------------------------------

KEY_BITS = {
    OBJECT.FIXEDTPM: Reason.KEY_NOT_FIXED_TO_TPM,
    OBJECT.FIXEDPARENT: Reason.KEY_NOT_FIXED_TO_PARENT,
    OBJECT.SENSITIVEDATAORIGIN: Reason.KEY_IMPORTED,
    OBJECT.SIGN_ENCRYPT: Reason.KEY_SIGNS_NOT,
    OBJECT.RESTRICTED: Reason.KEY_RESTRICTED,
    OBJECT.DECRYPT: Reason.KEY_DECRYPTS,
}
AK_BITS = {
    OBJECT.FIXEDTPM: Reason.ATTESTATION_NOT_FIXED_TO_TPM,
    OBJECT.FIXEDPARENT: Reason.ATTESTATION_NOT_FIXED_TO_PARENT,
    OBJECT.SENSITIVEDATAORIGIN: Reason.ATTESTATION_IMPORTED,
    OBJECT.RESTRICTED: Reason.ATTESTATION_UNRESTRICTED,
    OBJECT.SIGN_ENCRYPT: Reason.ATTESTATION_SIGNS_NOT,
    OBJECT.DECRYPT: Reason.ATTESTATION_DECRYPTS,
}


@pytest.mark.parametrize("bit", OBJECT, ids=lambda bit: bit.name)
def test_each_attribute_of_the_key(bit: OBJECT) -> None:
    evidence = Machine().with_key(OF_KEY ^ bit).evidence()
    if bit in KEY_BITS:
        refused(evidence, KEY_BITS[bit])
    else:
        check(evidence)


def test_a_key_that_may_decrypt_as_well() -> None:
    evidence = Machine().with_key(OF_KEY | OBJECT.DECRYPT).evidence()
    check(evidence, Wanted(nonce=NONCE, decrypts=True))


@pytest.mark.parametrize("bit", OBJECT, ids=lambda bit: bit.name)
def test_each_attribute_of_the_attestation_key(bit: OBJECT) -> None:
    evidence = Machine().with_ak(OF_AK ^ bit).evidence()
    if bit in AK_BITS:
        refused(evidence, AK_BITS[bit])
    else:
        check(evidence)


@pytest.mark.parametrize("bit", OBJECT, ids=lambda bit: bit.name)
def test_each_attribute_of_the_endorsement_key(bit: OBJECT) -> None:
    evidence = Machine().with_ek(attributes=OF_EK ^ bit).evidence()
    if bit is OBJECT.USERWITHAUTH:
        check(evidence)  # as the templates of the high range have it
    else:
        refused(evidence, Reason.ENDORSEMENT_TEMPLATE)


def test_attributes_that_are_forged_do_not_fit_the_name() -> None:
    imported = Machine().with_key(OF_KEY & ~OBJECT.SENSITIVEDATAORIGIN)
    said = imported.say(imported.attest())
    forged = PUBLIC.write(replace(imported.key_public, attributes=OF_KEY))
    refused(imported.evidence(key=forged, certified=said), Reason.STATEMENT_OTHER_KEY)


# --- the endorsement key ---------------------------------------------------------------------


def test_an_endorsement_key_with_a_policy_of_its_own() -> None:
    refused(Machine().with_ek(policy=bytes(32)).evidence(), Reason.ENDORSEMENT_POLICY)


def test_an_endorsement_key_that_protects_nothing() -> None:
    machine = Machine().with_ek(parameters=RsaParameters(symmetric=Symmetric()))
    refused(machine.evidence(), Reason.ENDORSEMENT_TEMPLATE)


def test_the_certificate_of_another_endorsement_key() -> None:
    both = usage("key_encipherment", "key_agreement")
    for other in (rsa_key(9), ec_key(9)):
        told = endorsement_certificate(other, NOT_AN_AUTHORITY, USES, SPECIFIC, both)
        evidence = Machine().evidence(endorsement_certificate=told)
        refused(evidence, Reason.ENDORSEMENT_OTHER_KEY)


# --- algorithms ------------------------------------------------------------------------------

WHICH = {
    "ek": ("endorsement_key", Reason.ENDORSEMENT_ALGORITHM),
    "ak": ("attestation_key", Reason.ATTESTATION_ALGORITHM),
    "key": ("key", Reason.KEY_ALGORITHM),
}


@pytest.mark.parametrize("which", WHICH)
def test_keys_that_are_too_weak_or_of_no_kind(which: str) -> None:
    part, reason = WHICH[which]
    machine = Machine()
    good = getattr(machine, f"{which}_public")
    small = public_of(rsa_key(7, 1024), good.attributes)
    on_p224 = EccParameters(curve=CURVE.NIST_P224)
    for wrong in (
        replace(small, policy=good.policy),
        replace(good, name_algorithm=ALG.SHA1),
        replace(good, parameters=KeyedHashParameters(), unique=bytes(32)),
        replace(good, parameters=on_p224, unique=machine.key_public.unique),
    ):
        refused(machine.evidence(**{part: PUBLIC.write(wrong)}), reason)


def test_keys_that_are_none() -> None:
    machine = Machine()
    for unique in (Point(bytes(32), bytes(32)), Point(bytes(33), bytes(32)), Point()):
        off = replace(machine.key_public, unique=unique)
        refused(machine.evidence(key=PUBLIC.write(off)), Reason.KEY_MALFORMED)
    machine = machines()[1]
    short = replace(machine.key_public, parameters=RsaParameters(bits=3072))
    refused(machine.evidence(key=PUBLIC.write(short)), Reason.KEY_MALFORMED)


# --- what is said ----------------------------------------------------------------------------


def test_a_nonce_that_was_used_before() -> None:
    machine = Machine()
    another = Wanted(nonce=b"another nonce")
    refused(machine.evidence(), Reason.STATEMENT_NONCE, wanted=another)
    old = machine.say(machine.attest(nonce=b"yesterday's"))
    refused(machine.evidence(certified=old), Reason.STATEMENT_NONCE)


def test_what_is_said_of_another_key() -> None:
    machine, other = Machine(), Machine(key=ec_key(8))
    refused(machine.evidence(certified=other.say(other.attest())), Reason.STATEMENT_OTHER_KEY)
    nobody = machine.say(machine.attest(Certified(b"\0\x0b" + bytes(32), b"")))
    refused(machine.evidence(certified=nobody), Reason.STATEMENT_OTHER_KEY)


def test_what_another_key_said() -> None:
    machine, other = Machine(), Machine(ak=ec_key(8))
    said = other.say(machine.attest())
    refused(machine.evidence(certified=said), Reason.STATEMENT_SIGNATURE_WRONG)


def test_what_no_tpm_said_though_its_key_signed_it() -> None:
    machine = Machine()
    told = ATTEST.write(machine.attest())
    for magic in (b"\xffTCH", b"\0\0\0\0", b"TCG\xff"):
        said = machine.say(magic + told[4:])
        refused(machine.evidence(certified=said), Reason.STATEMENT_NOT_GENERATED)


@pytest.mark.parametrize("kind", [each for each in ST if each is not ST.ATTEST_CERTIFY])
def test_statements_of_another_kind(kind: ST) -> None:
    machine = Machine()
    told = ATTEST.write(machine.attest())
    said = machine.say(told[:4] + kind.to_bytes(2) + told[6:])
    # Those of the kinds that we know are read, as what they say they are.
    both = Reason.STATEMENT_OF_ANOTHER_KIND, Reason.STATEMENT_MALFORMED
    refused(machine.evidence(certified=said), *both)


def test_a_quote_is_no_certification_and_the_reverse() -> None:
    machine = Machine()
    quote, certified = machine.quote({0: bytes(32)}), machine.say(machine.attest())
    refused(machine.evidence(certified=quote), Reason.STATEMENT_OF_ANOTHER_KIND)
    pcrs = {"0": bytes(32)}
    refused(machine.evidence(quote=certified, pcrs=pcrs), Reason.STATEMENT_OF_ANOTHER_KIND)


def test_a_signature_by_sha_1_or_of_another_kind() -> None:
    machine, other = machines()
    weak = machine.say(machine.attest(), hashed=ALG.SHA1)
    refused(machine.evidence(certified=weak), Reason.STATEMENT_SIGNATURE_ALGORITHM)
    statement = ATTEST.write(machine.attest())
    said = Statement(statement, other.sign(statement))
    refused(machine.evidence(certified=said), Reason.STATEMENT_SIGNATURE_ALGORITHM)


@pytest.mark.parametrize("at", range(0, 140, 4))
def test_a_statement_that_was_changed_anywhere(at: int) -> None:
    machine = Machine()
    good = machine.say(machine.attest())
    changed = bytearray(good.statement)
    changed[at % len(changed)] ^= 1
    with pytest.raises(Refused) as found:
        check(machine.evidence(certified=Statement(bytes(changed), good.signature)))
    assert found.value.reason.startswith("statement-")


# --- cut, and with something behind ------------------------------------------------------------

PARTS = {
    "endorsement_key": Reason.ENDORSEMENT_MALFORMED,
    "attestation_key": Reason.ATTESTATION_MALFORMED,
    "key": Reason.KEY_MALFORMED,
    "endorsement_certificate": Reason.CERTIFICATE_MALFORMED,
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_that_are_cut_anywhere(part: str) -> None:
    machine = Machine()
    data = getattr(machine.evidence(), part)
    for size in range(0, len(data), max(1, len(data) // 60)):
        refused(machine.evidence(**{part: data[:size]}), PARTS[part])


@pytest.mark.parametrize("part", ["endorsement_key", "attestation_key", "key"])
def test_parts_with_something_behind(part: str) -> None:
    machine = Machine()
    data = getattr(machine.evidence(), part)
    refused(machine.evidence(**{part: data + b"\0"}), PARTS[part])


def test_a_certificate_may_lie_in_larger_room() -> None:
    machine = Machine()
    padded = endorsement_certificate(machine.ek) + bytes(100)
    check(machine.evidence(endorsement_certificate=padded))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("statement", Reason.STATEMENT_MALFORMED),
        ("signature", Reason.STATEMENT_SIGNATURE_MALFORMED),
    ],
)
def test_statements_that_are_cut_or_go_on(part: str, reason: Reason) -> None:
    machine = Machine()
    good = machine.say(machine.attest())
    data = getattr(good, part)
    for wrong in (
        *(data[:size] for size in range(4, len(data), 3)),
        data + b"\0",
        data + bytes(5000),
    ):
        values = {"statement": good.statement, "signature": good.signature, part: wrong}
        refused(machine.evidence(certified=Statement(**values)), reason)


@pytest.mark.parametrize("size", [b"\0\0", b"\xff\xff", b"\x7f\xff", b"\x00\x43"])
def test_every_length_of_a_statement_at_its_extremes(size: bytes) -> None:
    """Of the signer, the nonce, and both names."""
    machine = Machine()
    data = ATTEST.write(machine.attest())
    signer = 6
    nonce = signer + 2 + len(b"signer")
    name = nonce + 2 + len(NONCE) + 17 + 8
    qualified = name + 2 + 34
    reasons = Reason.STATEMENT_MALFORMED, Reason.STATEMENT_NONCE, Reason.STATEMENT_OTHER_KEY
    for at in (signer, nonce, name, qualified):
        said = machine.say(data[:at] + size + data[at + 2 :])
        refused(machine.evidence(certified=said), *reasons)


@pytest.mark.parametrize("part", ["endorsement_key", "attestation_key", "key"])
@given(data=st.data())
def test_a_public_area_that_was_changed_anywhere(part: str, data: st.DataObject) -> None:
    """Never another exception, and never another key."""
    machine = Machine()
    value = bytearray(getattr(machine.evidence(), part))
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    if part == "endorsement_key":
        # Only its name depends on every bit of it, and the name is what `activation` binds.
        try:
            verdict = check(machine.evidence(endorsement_key=bytes(value)))
        except Refused:
            return
        assert verdict.endorsement.name != check(machine.evidence()).endorsement.name
    elif part == "attestation_key":
        try:
            verdict = check(machine.evidence(attestation_key=bytes(value)))
        except Refused:
            return
        assert verdict.attestation.name != check(machine.evidence()).attestation.name
    else:
        with pytest.raises(Refused):
            check(machine.evidence(key=bytes(value)))


# --- certificates ----------------------------------------------------------------------------


def with_certificate(*extensions: Given, **more: Any) -> Evidence:
    machine = Machine()
    told = endorsement_certificate(machine.ek, *extensions, **more)
    return machine.evidence(endorsement_certificate=told)


SERVER = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.1")]), False
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0"), True


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ((authority(), USES, ENCIPHERS), Reason.CERTIFICATE_OF_AN_AUTHORITY),
        ((NOT_AN_AUTHORITY, ENCIPHERS), Reason.CERTIFICATE_FOR_ANOTHER_USE),
        ((SERVER, ENCIPHERS), Reason.CERTIFICATE_FOR_ANOTHER_USE),
        ((USES, usage("digital_signature")), Reason.CERTIFICATE_KEY_USAGE),
        ((USES, usage("key_agreement")), Reason.CERTIFICATE_KEY_USAGE),
        ((USES, ENCIPHERS, UNKNOWN), Reason.CERTIFICATE_UNKNOWN_CRITICAL),
    ],
)
def test_certificates_that_are_for_something_else(extensions: Any, reason: Reason) -> None:
    refused(with_certificate(*extensions), reason)


def test_times() -> None:
    refused(Machine().evidence(), Reason.CERTIFICATE_NOT_YET_VALID, now=year(2019))
    refused(Machine().evidence(), Reason.CERTIFICATE_EXPIRED, now=year(2041))
    lasting = with_certificate(begins=year(2018), ends=year(2060))
    refused(lasting, Reason.ISSUER_EXPIRED, now=year(2041))
    refused(lasting, Reason.ISSUER_NOT_YET_VALID, now=year(2019))


def test_an_expired_root_is_taken_only_where_it_is_named() -> None:
    machine, old = Machine(), root(ends=year(2025))
    plain = Trust((anchor(old, allowed_as="old"),))
    refused(machine.evidence(), Reason.ISSUER_EXPIRED, trust=plain)
    named = Trust((anchor(old, allowed_as="old", expired=frozenset({"old"})),))
    assert check(machine.evidence(), trust=named).vendor == "old"


def test_an_authority_that_nobody_pinned() -> None:
    with pytest.raises(Refused) as found:
        anchor(root())
    assert found.value.reason is Reason.ISSUER_UNKNOWN
    refused(Machine().evidence(), Reason.ISSUER_UNKNOWN, trust=Trust(()))
    refused(Machine().evidence(certificates=()), Reason.ISSUER_UNKNOWN)


def test_a_chain_that_another_key_signed() -> None:
    refused(with_certificate(signer=ec_key(9)), Reason.SIGNATURE_WRONG)
    forged = intermediate(signer=rsa_key(9))
    refused(Machine().evidence(certificates=(forged,)), Reason.ISSUER_UNKNOWN)


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ((NOT_AN_AUTHORITY, CERTIFIES), Reason.ISSUER_NO_AUTHORITY),
        ((CERTIFIES,), Reason.ISSUER_NO_AUTHORITY),
        ((authority(0), usage("digital_signature")), Reason.ISSUER_MAY_NOT_CERTIFY),
        ((authority(0), CERTIFIES, UNKNOWN), Reason.CERTIFICATE_UNKNOWN_CRITICAL),
    ],
)
def test_issuers_that_may_not_be_ones(extensions: Any, reason: Reason) -> None:
    refused(Machine().evidence(certificates=(intermediate(*extensions),)), reason)


def test_more_authorities_than_one_allows() -> None:
    machine, below = Machine(), ec_key(6)
    lower = certificate(
        "lower", below.public_key(), "intermediate", ec_key(1), authority(), CERTIFIES
    )
    leaf = endorsement_certificate(machine.ek, issuer="lower", signer=below)
    for above, reason in ((intermediate(), Reason.PATH_TOO_LONG), (None, None)):
        given_ones = (lower, above or intermediate(authority(1), CERTIFIES))
        evidence = machine.evidence(endorsement_certificate=leaf, certificates=given_ones)
        if reason:
            refused(evidence, reason)
        else:
            check(evidence)


def test_certificates_that_name_each_other_end() -> None:
    machine, one, two = Machine(), ec_key(6), ec_key(7)
    first = certificate("one", one.public_key(), "two", two, authority(), CERTIFIES)
    second = certificate("two", two.public_key(), "one", one, authority(), CERTIFIES)
    leaf = endorsement_certificate(machine.ek, issuer="one", signer=one)
    evidence = machine.evidence(endorsement_certificate=leaf, certificates=(first, second))
    refused(evidence, Reason.ISSUER_UNKNOWN)


def test_signatures_by_sha_1() -> None:
    sha256, sha1 = (der.oid(f"1.2.840.113549.1.1.{number}") for number in (11, 5))
    weak = intermediate().replace(sha256, sha1)
    assert weak.count(sha1) == 2
    refused(Machine().evidence(certificates=(weak,)), Reason.SIGNATURE_ALGORITHM)


def test_an_authority_with_a_small_key() -> None:
    machine, small = Machine(), rsa_key(7, 1024)
    key = small.public_key()
    lower = certificate("intermediate", key, "root", rsa_key(0), authority(0), CERTIFIES)
    leaf = endorsement_certificate(machine.ek, signer=small)
    evidence = machine.evidence(endorsement_certificate=leaf, certificates=(lower,))
    refused(evidence, Reason.ISSUER_KEY_TOO_WEAK)


def test_too_many_certificates() -> None:
    many = (intermediate(),) * 9
    refused(Machine().evidence(certificates=many), Reason.CERTIFICATE_MALFORMED)


# --- quotes ----------------------------------------------------------------------------------


def test_quotes_of_something_else() -> None:
    machine, pcrs = Machine(), {"0": bytes(32), "7": b"7" * 32}
    quote = machine.quote({0: bytes(32), 7: b"7" * 32})
    others: tuple[dict[str, bytes], ...] = (
        {"0": bytes(32)},
        {**pcrs, "7": b"8" * 32},
        {**pcrs, "8": bytes(32)},
        {},
    )
    for wrong in others:
        refused(machine.evidence(quote=quote, pcrs=wrong), Reason.QUOTE_DIGEST)
    wanted = Wanted(nonce=NONCE, quote=True)
    refused(machine.evidence(), Reason.QUOTE_DIGEST, wanted=wanted)
    late = machine.quote({0: bytes(32)}, nonce=b"another")
    refused(machine.evidence(quote=late, pcrs={"0": bytes(32)}), Reason.STATEMENT_NONCE)
    for malformed in ({"x": bytes(32)}, {"24": bytes(32)}, {"0": b"short"}):
        refused(machine.evidence(quote=quote, pcrs=malformed), Reason.EVIDENCE_MALFORMED)


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EVIDENCE_MALFORMED),
        (b"{}", Reason.EVIDENCE_MALFORMED),
        (b"[" * 10_000, Reason.EVIDENCE_MALFORMED),
        (b" " * (MOST + 1), Reason.EVIDENCE_TOO_LARGE),
    ],
    ids=["nothing", "no field", "deep", "large"],
)
def test_files_that_are_no_evidence(data: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as found:
        read(data)
    assert found.value.reason is reason


def test_a_file_of_another_format_or_with_something_else_in_it() -> None:
    data = write(Machine().evidence())
    for wrong in (
        data.replace(b'"format": 1', b'"format": 2'),
        data.replace(b'"tpm2"', b'"fido"'),
        data.replace(b'"kind"', b'"sort"'),
        data[:-20],
    ):
        with pytest.raises(Refused) as found:
            read(wrong)
        assert found.value.reason is Reason.EVIDENCE_MALFORMED


def test_every_reason_is_told_by_some_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [each.name for each in Reason if f"Reason.{each.name}" not in text] == []
