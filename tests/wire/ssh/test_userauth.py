import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.ssh import samples

from keyholm.wire.codec import STRING, TEXT, Malformed
from keyholm.wire.ssh import userauth
from keyholm.wire.ssh.userauth import HOSTBOUND, PUBLICKEY, UserAuth

KEY = samples.blob("ed25519")
HOST = samples.blob("ecdsa256")
# RFC 4252, section 7, written out by hand.
PLAIN_REQUEST = (
    STRING.write(b"session id")
    + b"\x32"
    + STRING.write(b"alice")
    + STRING.write(b"ssh-connection")
    + STRING.write(b"publickey")
    + b"\1"
    + STRING.write(b"ssh-ed25519")
    + STRING.write(KEY)
)
PLAIN = UserAuth(
    b"session id", "alice", "ssh-connection", "publickey", "ssh-ed25519", KEY, host_key=None
)


def test_a_request_by_the_standard_reads_and_writes() -> None:
    assert userauth.parse(PLAIN_REQUEST) == PLAIN
    assert userauth.encode(PLAIN) == PLAIN_REQUEST


def test_a_host_bound_request_names_the_server_too() -> None:
    data = PLAIN_REQUEST.replace(STRING.write(b"publickey"), TEXT.write(HOSTBOUND))
    with pytest.raises(Malformed):
        userauth.parse(data)
    bound = userauth.parse(data + STRING.write(HOST))
    assert (bound.method, bound.host_key) == (HOSTBOUND, HOST)
    assert userauth.encode(bound) == data + STRING.write(HOST)
    with pytest.raises(Malformed, match="left over"):
        userauth.parse(PLAIN_REQUEST + STRING.write(HOST))


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("rsa-sha2-256", "rsa"),
        ("rsa-sha2-512", "rsa"),
        ("ssh-rsa", "rsa"),
        ("ssh-rsa-cert-v01@openssh.com", "rsa-cert"),
        ("rsa-sha2-512-cert-v01@openssh.com", "rsa-cert"),
        ("ssh-ed25519-cert-v01@openssh.com", "ed25519-cert"),
        ("sk-ssh-ed25519@openssh.com", "ed25519_sk"),
        ("sk-ssh-ed25519-cert-v01@openssh.com", "ed25519_sk-cert"),
        ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa_sk-cert"),
        ("ecdsa-sha2-nistp521", "ecdsa521"),
    ],
)
def test_each_kind_of_key_has_algorithms_of_its_own(algorithm: str, name: str) -> None:
    request = UserAuth(b"s", "alice", "ssh-connection", PUBLICKEY, algorithm, samples.blob(name))
    assert userauth.parse(userauth.encode(request)) == request
    wrong = UserAuth(b"s", "alice", "ssh-connection", PUBLICKEY, algorithm, samples.blob("dsa"))
    with pytest.raises(Malformed, match="not its key's"):
        userauth.parse(userauth.encode(wrong))


requests = st.builds(
    UserAuth,
    st.binary(min_size=1, max_size=40),
    st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    st.just("ssh-connection"),
    st.just(HOSTBOUND),
    st.just("ssh-ed25519"),
    st.just(KEY),
    st.binary(),
)


@given(requests)
def test_what_we_write_we_read(request_: UserAuth) -> None:
    assert userauth.begins(userauth.encode(request_))
    assert userauth.parse(userauth.encode(request_)) == request_


@given(requests)
def test_a_cut_or_padded_request_is_refused(request_: UserAuth) -> None:
    data = userauth.encode(request_)
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            userauth.parse(data[:cut])
    with pytest.raises(Malformed, match="1 bytes left over"):
        userauth.parse(data + b"\0")


@given(st.binary())
def test_arbitrary_bytes_give_a_request_or_malformed(data: bytes) -> None:
    try:
        request_ = userauth.parse(data)
    except Malformed:
        return
    assert userauth.encode(request_) == data


def test_most_of_what_is_no_request_is_told_by_a_look() -> None:
    for data in (b"", b"\0\0\0", b"hello", b"\xff" * 100, PLAIN_REQUEST[:14]):
        assert not userauth.begins(data)


def changed(old: bytes, new: bytes) -> bytes:
    assert PLAIN_REQUEST.count(old) == 1
    return PLAIN_REQUEST.replace(old, new)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("without a session", changed(STRING.write(b"session id"), STRING.write(b""))),
        ("not a userauth", changed(b"\x32\0\0\0\5", b"\x33\0\0\0\5")),
        (
            "another service",
            changed(STRING.write(b"ssh-connection"), STRING.write(b"ssh-userauth")),
        ),
        ("not a login by public key", changed(STRING.write(b"publickey"), STRING.write(b"none"))),
        ("no signature follows", changed(b"\1\0\0\0\x0bssh", b"\0\0\0\0\x0bssh")),
        ("no signature follows", changed(b"\1\0\0\0\x0bssh", b"\2\0\0\0\x0bssh")),
        ("NUL", changed(STRING.write(b"alice"), STRING.write(b"alice\0root"))),
        ("not UTF-8", changed(STRING.write(b"alice"), STRING.write(b"\xff"))),
        ("not its key's", changed(STRING.write(KEY), STRING.write(HOST))),
        ("bytes wanted", changed(STRING.write(KEY), STRING.write(b""))),
    ],
)
def test_a_request_in_another_form_is_refused(why: str, data: bytes) -> None:
    with pytest.raises(Malformed, match=why):
        userauth.parse(data)
