"""KDFa and KDFe against cryptography's SP 800-108 and SP 800-56A."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from keyholm.wire.tpm2.constants import ALG
from keyholm.wire.tpm2.kdf import kdfa, kdfe

sizes = st.sampled_from([128, 160, 256, 384, 1024])


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=40), st.binary(max_size=40), sizes)
def test_kdfa_is_the_counter_mode_of_sp_800_108(key: bytes, u: bytes, v: bytes, bits: int) -> None:
    other = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=b"STORAGE",
        context=u + v,
        fixed=None,
    )
    assert kdfa(ALG.SHA256, key, b"STORAGE", u, v, bits) == other.derive(key)


@given(st.binary(min_size=1, max_size=66), st.binary(max_size=40), st.binary(max_size=40), sizes)
def test_kdfe_is_the_concatenation_of_sp_800_56a(
    shared: bytes, u: bytes, v: bytes, bits: int
) -> None:
    other = ConcatKDFHash(hashes.SHA384(), bits // 8, b"IDENTITY\0" + u + v)
    assert kdfe(ALG.SHA384, shared, b"IDENTITY", u, v, bits) == other.derive(shared)
