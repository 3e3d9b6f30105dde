import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ssh import samples

from keyholm.wire.codec import MPINT, STRING, TEXT, Malformed
from keyholm.wire.ssh import keys, signatures, sshsig
from keyholm.wire.ssh.keys import Ecdsa, Ed25519, MlDsa44Ed25519, Rsa
from keyholm.wire.ssh.private_keys import (
    PrivateDsa,
    PrivateEcdsa,
    PrivateEd25519,
    PrivateKey,
    PrivateRsa,
)
from keyholm.wire.ssh.signatures import ALGORITHMS, BadSignature, Signature, Verified

COMPOSITE = "ssh-mldsa44-ed25519@openssh.com"
SIGNED = ("ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa", "ed25519_sk", "ecdsa_sk")
DATA = b"what was signed"


def composite_vector() -> tuple[MlDsa44Ed25519, bytes, bytes]:
    """The key, the message and the signature of the draft."""
    vector = json.loads(samples.data("mldsa44-ed25519.json"))
    key = base64.b64decode(vector["pk"])
    return (
        MlDsa44Ed25519(key[:1312], key[1312:]),
        base64.b64decode(vector["m"]),
        base64.b64decode(vector["s"]),
    )


def openssh_signature(name: str) -> tuple[bytes, bytes]:
    """What ssh-keygen signed, and its signature."""
    file = sshsig.parse_armoured(samples.data(f"{name}.sshsig").decode())
    signed = sshsig.to_be_signed(file.namespace, file.hash, samples.data("message"))
    return signed, file.signature


def sign(private: PrivateKey, data: bytes, algorithm: str) -> bytes:
    """As cryptography does it, turned into a blob by us."""
    hashed = {
        "nistp256": (ec.SECP256R1(), hashes.SHA256()),
        "nistp384": (ec.SECP384R1(), hashes.SHA384()),
        "nistp521": (ec.SECP521R1(), hashes.SHA512()),
    }
    match private:
        case PrivateEd25519(public, seed):
            raw = ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(data)
        case PrivateEcdsa(public, scalar):
            curve, digest = hashed[public.curve]
            key = ec.derive_private_key(int.from_bytes(scalar), curve)
            raw = signatures.der_to_rs(key.sign(data, ec.ECDSA(digest)), public.curve.width)
        case PrivateRsa(public, d, iqmp, p, q):
            numbers = [int.from_bytes(number) for number in (p, q, d, iqmp)]
            raw = rsa_key(public, *numbers).sign(
                data,
                padding.PKCS1v15(),
                {"256": hashes.SHA256(), "512": hashes.SHA512(), "rsa": hashes.SHA1()}[
                    algorithm[-3:]
                ],
            )
        case PrivateDsa(public, x):
            group = dsa.DSAParameterNumbers(public.p, public.q, public.g)
            public_numbers = dsa.DSAPublicNumbers(public.y, group)
            dsa_key = dsa.DSAPrivateNumbers(int.from_bytes(x), public_numbers).private_key()
            raw = signatures.der_to_rs(dsa_key.sign(data, hashes.SHA1()), 20)
        case _:
            raise NotImplementedError(private)
    return signatures.blob(public, algorithm, raw)


def rsa_key(public: Rsa, p: int, q: int, d: int, iqmp: int) -> rsa.RSAPrivateKey:
    numbers = rsa.RSAPublicNumbers(public.exponent, public.modulus)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), iqmp, numbers).private_key()


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_of_openssh_is_good(name: str) -> None:
    signed, blob = openssh_signature(name)
    verified = signatures.verify(samples.public(name), blob, signed)
    assert verified.algorithm in ALGORITHMS[keys.type_name(samples.public(name))]
    # sk-dummy claims that the user was present, and does not count.
    expected = (1, 0x12345678) if name.endswith("_sk") else (None, None)
    assert (verified.sk_flags, verified.sk_counter) == expected


@pytest.mark.parametrize("name", SIGNED)
def test_a_signature_of_openssh_reads_and_writes(name: str) -> None:
    _, blob = openssh_signature(name)
    signature = signatures.decode(blob)
    assert signatures.encode(signature.algorithm, signature.raw) == blob
    assert signatures.blob(samples.public(name), signature.algorithm, signature.raw) == blob


def test_the_composite_signature_of_the_draft_is_good() -> None:
    key, message, raw = composite_vector()
    blob = signatures.blob(key, COMPOSITE, raw)
    assert signatures.verify(key, blob, message) == Verified(COMPOSITE)


@pytest.mark.parametrize("broken", [0, 2419, 2420, 2483])
def test_a_composite_signature_is_as_good_as_its_worse_half(broken: int) -> None:
    key, message, raw = composite_vector()
    damaged = bytearray(raw)
    damaged[broken] ^= 1
    with pytest.raises(BadSignature):
        signatures.verify(key, signatures.encode(COMPOSITE, bytes(damaged)), message)


def test_a_composite_signature_that_we_make_is_good() -> None:
    post_quantum = mldsa.MLDSA44PrivateKey.generate()
    classic = ed25519.Ed25519PrivateKey.generate()
    message = signatures.composite_message(DATA)
    raw = post_quantum.sign(message, signatures.COMPOSITE_LABEL) + classic.sign(message)
    key = MlDsa44Ed25519(
        post_quantum.public_key().public_bytes_raw(), classic.public_key().public_bytes_raw()
    )
    signatures.verify(key, signatures.blob(key, COMPOSITE, raw), DATA)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("ed25519", "ssh-ed25519"),
        ("ecdsa256", "ecdsa-sha2-nistp256"),
        ("ecdsa384", "ecdsa-sha2-nistp384"),
        ("ecdsa521", "ecdsa-sha2-nistp521"),
        ("rsa", "rsa-sha2-256"),
        ("rsa", "rsa-sha2-512"),
        ("dsa", "ssh-dss"),
    ],
)
def test_a_signature_that_a_store_makes_is_good(name: str, algorithm: str) -> None:
    private = samples.private(name)
    blob = sign(private, DATA, algorithm)
    assert signatures.verify(private.public, blob, DATA) == Verified(algorithm)
    with pytest.raises(BadSignature, match="did not make"):
        signatures.verify(private.public, blob, DATA + b"!")
    with pytest.raises(BadSignature, match="not accepted"):
        signatures.verify(private.public, blob, DATA, allowed=frozenset({"another"}))
    signatures.verify(private.public, blob, DATA, allowed=frozenset({algorithm}))


def test_rsa_with_sha_1_is_never_good() -> None:
    private = samples.private("rsa")
    blob = sign(private, DATA, "ssh-rsa")
    with pytest.raises(BadSignature, match="ssh-rsa are not accepted"):
        signatures.verify(private.public, blob, DATA, allowed=frozenset({"ssh-rsa"}))


def test_an_rsa_signature_may_lack_the_zeros_in_front() -> None:
    private = samples.private("rsa")
    assert isinstance(private, PrivateRsa)
    p, q, d, iqmp = map(int.from_bytes, (private.p, private.q, private.d, private.iqmp))
    key = rsa_key(private.public, p, q, d, iqmp)
    for number in range(10_000):
        data = number.to_bytes(4)
        raw = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if raw[0] == 0:
            short = signatures.encode("rsa-sha2-256", raw.lstrip(b"\0"))
            signatures.verify(private.public, short, data)
            return
    pytest.fail("no signature begins with a zero")


@pytest.mark.parametrize("name", ["ed25519_sk", "ecdsa_sk"])
@pytest.mark.parametrize("at", [-1, -5])
def test_flags_and_counter_of_a_fido_key_are_signed_too(name: str, at: int) -> None:
    signed, blob = openssh_signature(name)
    damaged = bytearray(blob)
    damaged[at] ^= 1
    with pytest.raises(BadSignature, match="did not make"):
        signatures.verify(samples.public(name), bytes(damaged), signed)


def test_the_key_of_another_did_not_make_it() -> None:
    signed, blob = openssh_signature("ed25519")
    with pytest.raises(BadSignature, match="did not make"):
        signatures.verify(samples.public("ca"), blob, signed)
    with pytest.raises(BadSignature, match="does not sign by ssh-ed25519"):
        signatures.verify(samples.public("ecdsa256"), blob, signed)


def test_a_point_off_its_curve_signs_nothing() -> None:
    curve = samples.public("ecdsa256")
    assert isinstance(curve, Ecdsa)
    off = Ecdsa(curve.curve, curve.point[:-1] + bytes([curve.point[-1] ^ 1]))
    signed, blob = openssh_signature("ecdsa256")
    with pytest.raises(BadSignature, match="did not make"):
        signatures.verify(off, blob, signed)


def test_a_small_rsa_key_signs_nothing() -> None:
    blob = signatures.encode("rsa-sha2-256", bytes(16))
    with pytest.raises(BadSignature, match="did not make"):
        signatures.verify(Rsa(65537, (1 << 127) + 45), blob, DATA)


def test_a_key_does_not_sign_by_the_algorithm_of_another() -> None:
    with pytest.raises(Malformed, match="does not sign by 'ssh-dss'"):
        signatures.blob(Ed25519(bytes(32)), "ssh-dss", bytes(40))


SIZES = {
    "ssh-ed25519": 64,
    "ecdsa-sha2-nistp256": 64,
    "ecdsa-sha2-nistp384": 96,
    "ecdsa-sha2-nistp521": 132,
    "rsa-sha2-256": 256,
    "rsa-sha2-512": 256,
    "ssh-rsa": 256,
    "ssh-dss": 40,
    "sk-ssh-ed25519@openssh.com": 69,
    "sk-ecdsa-sha2-nistp256@openssh.com": 69,
    COMPOSITE: 2484,
}


def test_every_algorithm_has_a_form() -> None:
    assert {name for names in ALGORITHMS.values() for name in names} == set(SIZES)
    assert set(ALGORITHMS) == set(keys.FIELDS)


@pytest.mark.parametrize(("algorithm", "size"), SIZES.items())
@given(st.data())
def test_what_we_write_we_read(algorithm: str, size: int, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=8, max_size=8)) + bytes(size - 8)
    blob = signatures.encode(algorithm, raw)
    assert signatures.decode(blob) == Signature(algorithm, raw)
    for cut in range(min(len(blob), 200)):
        with pytest.raises(Malformed):
            signatures.decode(blob[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        signatures.decode(blob + b"\0")


@pytest.mark.parametrize(("algorithm", "size"), SIZES.items())
def test_a_signature_of_another_size_is_refused(algorithm: str, size: int) -> None:
    wrong = (0, 2049) if "rsa" in algorithm else (0, size - 1, size + 1)
    for other in wrong:
        with pytest.raises(Malformed):
            signatures.encode(algorithm, bytes(other))


@given(st.sampled_from(sorted(SIZES)), st.binary())
def test_arbitrary_bytes_give_a_signature_or_malformed(algorithm: str, data: bytes) -> None:
    blob = TEXT.write(algorithm) + data
    try:
        signature = signatures.decode(blob)
    except Malformed:
        with pytest.raises(BadSignature):
            signatures.verify(samples.public("ed25519"), blob, DATA)
        return
    assert signatures.encode(signature.algorithm, signature.raw) == blob


def test_a_number_wider_than_its_curve_is_refused() -> None:
    numbers = MPINT.write(2**256) + MPINT.write(1)
    with pytest.raises(Malformed, match="more than 32 bytes"):
        signatures.decode(TEXT.write("ecdsa-sha2-nistp256") + STRING.write(numbers))


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_der_and_plain_form_are_the_same_numbers(r: int, s: int) -> None:
    encoded = encode_dss_signature(r, s)
    plain = r.to_bytes(32) + s.to_bytes(32)
    assert signatures.der_to_rs(encoded, 32) == plain
    assert signatures.rs_to_der(plain) == encoded


@pytest.mark.parametrize("wrong", [b"", b"\0", bytes(65)])
def test_half_a_signature_is_no_signature(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        signatures.rs_to_der(wrong)


def test_der_with_anything_behind_it_is_refused() -> None:
    encoded = encode_dss_signature(1, 2)
    for wrong in (encoded + b"\0", encoded[:-1], b"\x30\x09" + encoded[2:] + b"\x02\x01\x01"):
        with pytest.raises(Malformed):
            signatures.der_to_rs(wrong, 32)
