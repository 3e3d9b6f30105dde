"""The control door: its methods do what their table says, and want what the design says."""

import base64
import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_ssh_public_key
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from tests.doors.control_house import MODULE, PASSPHRASE, House
from tests.programs import program

from keyholm.client import Client, connect
from keyholm.core import errors
from keyholm.core.audit.records import Management, Operation
from keyholm.core.caller import Process
from keyholm.core.errors import (
    BadCertificate,
    BadRequest,
    Invalid,
    KeyholmError,
    leaves,
    name_in,
)
from keyholm.core.model import KeyId
from keyholm.doors.control import schema
from keyholm.doors.control.errors import KINDS
from keyholm.doors.control.exchange import Needs
from keyholm.doors.control.methods import METHODS
from keyholm.doors.control.reference import document
from keyholm.doors.control.server import _call, _method, _params
from keyholm.wire.ssh import keys, signatures

ROOT = Path(__file__).parents[2]
NEW = b"another passphrase of some length"
POLICY = 'namespaces = ["git"]\n'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def client(house: House) -> Client:
    """With a token that has a passphrase, and a key in it."""
    house.token()
    house.key()
    return house.client()


# --- the table -----------------------------------------------------------------------


def test_the_published_schema_is_current() -> None:
    assert (ROOT / "docs/reference/control.json").read_text() == document()


def test_every_method_has_its_paragraph_in_the_protocol() -> None:
    page = (ROOT / "docs/protocols/control.md").read_text()
    page = page.partition("\n## The methods\n")[2]
    assert set(re.findall(r"^\| `([a-z.-]+)` \|", page, re.MULTILINE)) == set(METHODS)


def test_every_error_has_a_name_at_this_door() -> None:
    assert leaves() <= KINDS.keys()
    assert name_in(KINDS, KeyholmError("?")) == "KeyholmError"


def shaped(shape: Any, value: dict[str, Any]) -> bool:
    """Whether `value` has all fields of `shape` and no others."""
    msgspec.convert(value, shape)
    return set(value) == {field.name for field in msgspec.structs.fields(shape)}


CALLS: dict[str, tuple[dict[str, Any], list[bytes], list[bytes]]] = {
    "status": ({}, [], []),
    "keys.list": ({}, [], []),
    "keys.show": ({"key": "laptop"}, [], []),
    "keys.new": ({"name": "new"}, [], []),
    "keys.import": ({"name": "imported"}, [b"FILE"], []),
    "keys.export": ({"key": "portable"}, [], []),
    "keys.remove": ({"key": "laptop"}, [], []),
    "keys.rename": ({"key": "laptop", "name": "desk"}, [], []),
    "keys.sign": ({"key": "laptop", "data": ""}, [], []),
    "certificates.add": ({"key": "laptop", "name": "c", "certificate": "LINE"}, [], []),
    "certificates.remove": ({"key": "laptop", "name": "there"}, [], []),
    "policy.get": ({"key": "laptop"}, [], []),
    "policy.set": ({"key": "laptop", "toml": POLICY}, [], []),
    "policy.explain": ({"key": "laptop", "pid": 1}, [], []),
    "tokens.unlock": ({"token": "main"}, [PASSPHRASE], []),
    "tokens.lock": ({"token": "main"}, [], []),
    "tokens.new": ({"name": "second"}, [NEW], []),
    "tokens.new-with-pins": ({"label": "second"}, [NEW, PASSPHRASE], []),
    "tokens.remove": ({"token": "main"}, [], []),
    "tokens.passphrase": ({"token": "main"}, [PASSPHRASE, NEW], []),
    "tokens.recovery": ({"token": "main"}, [PASSPHRASE], []),
    "tokens.remove-slot": ({"token": "main", "slot": "recovery"}, [PASSPHRASE], []),
    "tokens.backup": ({"token": "main"}, [NEW], []),
    "tokens.restore": ({"name": "restored"}, [NEW], [b"BACKUP"]),
    "modules.list": ({}, [], []),
    "config.reload": ({}, [], []),
    "agent.restore": ({}, [], []),
    "prompt.test": ({}, [], []),
}


@pytest.fixture
def prepared(house: House, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Makes what a call of each method needs to succeed, and gives the call."""
    house.token()
    laptop = house.key()
    house.key("portable", exportable=True)
    ca = tmp_path / "ca"
    subprocess.run([program("ssh-keygen"), "-qt", "ed25519", "-N", "", "-f", ca], check=True)
    public = tmp_path / "laptop.pub"
    public.write_text(laptop["public"] + "\n")
    command = [program("ssh-keygen"), "-q", "-s", str(ca), "-I", "me", "-n", "me", str(public)]
    subprocess.run(command, check=True)
    line = (tmp_path / "laptop-cert.pub").read_text()
    own = house.client()
    own.call("certificates.add", {"key": "laptop", "name": "there", "certificate": line})
    own.call_attached("tokens.recovery", {"token": "main"}, secrets=[PASSPHRASE])
    _, (backup,) = own.call_attached("tokens.backup", secrets=[NEW, PASSPHRASE])

    def call(method: str) -> dict[str, Any]:
        params, secrets, blobs = CALLS[method]
        params = {k: line if v == "LINE" else v for k, v in params.items()}
        secrets = [ca.read_bytes() if secret == b"FILE" else secret for secret in secrets]
        blobs = [bytes(backup) for _ in blobs]
        return {"method": method, "params": params, "secrets": secrets, "blobs": blobs}

    return call


def test_every_method_is_walked() -> None:
    assert set(CALLS) == set(METHODS)


PROVING = {Needs.PROOF, Needs.PROOF_TO_LOOSEN}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_the_shape_that_it_promises(
    house: House, prepared: Callable[[str], dict[str, Any]], method: str
) -> None:
    house.people.script = [True]
    told = METHODS[method]
    call = prepared(method)
    if told.needs in PROVING:
        call["secrets"].append(PASSPHRASE)

    result, attached = house.client().call_attached(**call)

    assert shaped(told.result, result)
    assert len(attached) == bool(told.gives) + bool(told.gives_blob)


@pytest.mark.parametrize("method", [m for m, told in METHODS.items() if told.needs is Needs.PROOF])
@pytest.mark.parametrize("proof", [b"", b"wrong"], ids=["no proof", "a wrong one"])
def test_what_destroys_or_exports_wants_the_passphrase(
    house: House, prepared: Callable[[str], dict[str, Any]], method: str, proof: bytes
) -> None:
    call = prepared(method)
    call["secrets"] += [proof] if proof else []
    before = house.client().keys()

    with pytest.raises(errors.PassphraseIncorrect if proof else errors.ProofNeeded):
        house.client().call_attached(**call)

    assert house.client().keys() == before
    assert house.last(Management).result == "refused"


def test_loosening_wants_the_passphrase_and_tightening_does_not(client: Client) -> None:
    client.call("policy.set", {"key": "laptop", "toml": POLICY})
    with pytest.raises(errors.ProofNeeded, match="Loosening"):
        client.call("policy.set", {"key": "laptop", "toml": ""})
    assert client.call("policy.get", {"key": "laptop"})["toml"].strip() == POLICY.strip()
    client.call("policy.set", {"key": "laptop", "toml": ""}, secrets=[PASSPHRASE])
    assert client.call("policy.get", {"key": "laptop"})["toml"] == ""


MANAGING = [m for m, told in METHODS.items() if told.needs not in (Needs.SIGHT, Needs.POLICY)]


@pytest.mark.parametrize("method", MANAGING)
@pytest.mark.parametrize(
    "who",
    [Process(pid=42, start=7, relay=True), Process(pid=42)],
    ids=["an ssh process", "a process that cannot be known"],
)
def test_nothing_is_managed_through_a_relay_or_by_an_unknown_process(
    house: House, prepared: Callable[[str], dict[str, Any]], method: str, who: Process
) -> None:
    call = prepared(method)
    if METHODS[method].needs in PROVING:
        call["secrets"].append(PASSPHRASE)
    house.process = who
    before = house.client().keys()

    with pytest.raises(errors.ManagementForbidden):
        house.client().call_attached(**call)

    assert house.client().keys() == before


# What the agent withdrew belongs to no token, so every user that it serves may have it back.
OWNED = [method for method in MANAGING if method != "agent.restore"]


@pytest.mark.parametrize("method", OWNED)
def test_another_user_manages_nothing_of_ours(
    house: House, prepared: Callable[[str], dict[str, Any]], method: str
) -> None:
    call = prepared(method)
    if METHODS[method].needs in PROVING:
        call["secrets"].append(PASSPHRASE)
    before = house.client().keys()
    house.peer_uid = 4242
    params = call["params"]
    if method in ("tokens.new", "tokens.new-with-pins", "tokens.restore"):
        params["owner"] = os.getuid()

    with pytest.raises((errors.NotFound, errors.NotTheOwner)):
        house.client().call_attached(**call)

    house.peer_uid = None
    assert house.client().keys() == before


def test_another_user_sees_nothing(house: House, client: Client) -> None:
    house.peer_uid = 4242
    stranger = house.client()
    assert stranger.keys() == []
    assert stranger.status()["tokens"] == []
    with pytest.raises(errors.KeyNotFound):
        stranger.sign("laptop", b"data")


def test_another_user_learns_of_no_module_but_that_of_a_token_that_it_sees(
    house: House, client: Client
) -> None:
    assert client.call("modules.list") == {"modules": [msgspec.to_builtins(MODULE)]}
    house.peer_uid = 4242
    assert house.client().call("modules.list") == {"modules": []}
    (token,) = house.store.tokens()
    token.accepted_uids = frozenset({4242})
    (seen,) = house.client().call("modules.list")["modules"]
    assert (seen["name"], seen["tokens"]) == ("acme", ["main"])
    assert not any(seen[field] for field in ("library", "pid", "isolation", "error", "remedy"))


def test_the_configuration_is_read_again_and_that_is_recorded(house: House, client: Client) -> None:
    client.call("config.reload")
    assert house.reloaded == 1
    assert house.last(Management).action == "reload"


# --- keys ----------------------------------------------------------------------------


def test_a_key_that_was_made_is_listed_shown_and_signs(house: House, client: Client) -> None:
    (listed,) = client.keys()
    assert client.key("laptop") == listed == client.key(listed["place"])
    assert listed["fingerprint"].startswith("SHA256:")
    raw = client.sign("laptop", b"message")
    blob, _ = keys.parse_line(listed["public"])
    signed = client.call("keys.sign", {"key": "laptop", "data": base64.b64encode(b"m").decode()})
    assert len(raw) == 64
    signatures.verify(keys.decode(blob), base64.b64decode(signed["ssh"]), b"m")
    assert house.last(Operation).result == "ok"


@pytest.mark.parametrize("mechanism", ["", "rsa-pkcs1-sha256", "rsa-pss-sha256", "rsa-pss-sha512"])
def test_an_rsa_key_signs_as_it_is_told(house: House, mechanism: str) -> None:
    house.token()
    house.key("rsa", type="rsa-2048")
    assert len(house.client().sign("rsa", b"message", mechanism)) == 256


def test_a_file_of_ssh_keygen_is_imported_with_its_comment(house: House, tmp_path: Path) -> None:
    house.token()
    path = tmp_path / "key"
    command = [program("ssh-keygen"), "-qt", "ed25519", "-N", "", "-C", "me@here", "-f", str(path)]
    subprocess.run(command, check=True)
    key = house.client().call("keys.import", {}, secrets=[path.read_bytes()])
    assert key["name"] == "me@here"
    assert key["public"] == path.with_suffix(".pub").read_text().strip()


def test_an_encrypted_file_is_for_the_client_to_decrypt(house: House, tmp_path: Path) -> None:
    house.token()
    path = tmp_path / "key"
    command = [program("ssh-keygen"), "-qt", "ed25519", "-N", "secret", "-f", str(path)]
    subprocess.run(command, check=True)
    with pytest.raises(errors.ProofNeeded, match="encrypted"):
        house.client().call("keys.import", {}, secrets=[path.read_bytes()])


def test_an_exported_key_is_what_ssh_keygen_reads(house: House, tmp_path: Path) -> None:
    house.token()
    made = house.key("portable", exportable=True)
    client = house.client()
    _, (private,) = client.call_attached("keys.export", {"key": "portable"}, secrets=[PASSPHRASE])
    path = tmp_path / "out"
    path.write_bytes(private)
    path.chmod(0o600)
    command = [program("ssh-keygen"), "-y", "-f", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split()[:2] == made["public"].split()[:2]


def test_what_was_not_made_exportable_is_not_exported(client: Client) -> None:
    with pytest.raises(errors.NotExportable):
        client.call_attached("keys.export", {"key": "laptop"}, secrets=[PASSPHRASE])


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 129])
def test_a_name_that_cannot_be_is_refused(client: Client, name: str) -> None:
    with pytest.raises(errors.BadRequest, match="cannot be the name"):
        client.new(name)
    assert len(client.keys()) == 1


# --- tokens --------------------------------------------------------------------------


def test_a_locked_token_lists_its_keys_and_signs_nothing(house: House, client: Client) -> None:
    client.lock()
    (listed,) = client.keys()
    assert not listed["usable"]
    with pytest.raises(errors.TokenLocked):
        client.sign("laptop", b"message")
    with pytest.raises(errors.PassphraseIncorrect):
        client.unlock(b"wrong")
    client.unlock(PASSPHRASE)
    assert len(client.sign("laptop", b"message")) == 64


def test_a_backup_is_restored_under_another_name(house: House, client: Client) -> None:
    _, (content,) = client.call_attached("tokens.backup", secrets=[NEW, PASSPHRASE])
    client.call("tokens.restore", {"name": "again"}, secrets=[NEW], blobs=[content])
    client.unlock(NEW, "again")
    listed = client.keys()
    assert {key["token"] for key in listed} == {"main", "again"}
    assert len({key["id"] for key in listed}) == 1


def test_a_recovery_code_opens_the_token(client: Client) -> None:
    _, (code,) = client.call_attached("tokens.recovery", secrets=[PASSPHRASE])
    client.lock()
    client.unlock(code)
    assert client.key("laptop")["usable"]


# --- explain, prompts ----------------------------------------------------------------


def test_explain_tells_the_rule_that_would_decide(house: House, client: Client) -> None:
    client.call("policy.set", {"key": "laptop", "toml": POLICY})
    house.asked_uid = os.getuid()
    told = client.call("policy.explain", {"key": "laptop", "pid": 1, "namespace": "file"})
    assert not told["allowed"]
    assert "namespaces" in {step["rule"] for step in told["steps"]}
    told = client.call("policy.explain", {"key": "laptop", "pid": 1, "namespace": "git"})
    assert told["allowed"]


def test_explain_is_silent_about_processes_of_others(house: House, client: Client) -> None:
    house.token("theirs")
    house.peer_uid = house.asked_uid = 4242
    stranger = house.client()
    stranger.call("tokens.new", {"name": "own"}, secrets=[NEW])
    stranger.new("k", token="own")
    house.asked_uid = 0
    with pytest.raises(errors.NotTheOwner):
        stranger.call("policy.explain", {"key": "k", "pid": 1})


def test_a_prompt_is_tested_and_its_answer_told(house: House, client: Client) -> None:
    house.people.script = [False]
    told = client.call("prompt.test")
    assert told == {"prompter": "script", "granted": False, "reason": "denied"}
    with pytest.raises(errors.NoPrompter):
        client.call("prompt.test")


# --- bad input -----------------------------------------------------------------------


def frame(value: Any) -> bytes:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack(">I", len(content)) + content


def answer(connected: socket.socket) -> dict[str, Any]:
    size = int.from_bytes(connected.recv(4, socket.MSG_WAITALL))
    told: dict[str, Any] = json.loads(connected.recv(size, socket.MSG_WAITALL))
    return told


def is_closed(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "cannot be read"),
    "a list": ([], "cannot be read"),
    "no UTF-8": (b'{"v":1,"method":"\xff"}', "cannot be read"),
    "another version": ({"v": 2, "method": "status"}, "version 1"),
    "an unknown field": ({"v": 1, "method": "status", "more": 1}, "more"),
    "an unknown method": ({"v": 1, "method": "keys.steal"}, "no method 'keys.steal'"),
    "an unknown parameter": (
        {"v": 1, "method": "keys.show", "params": {"key": "k", "kye": 1}},
        "kye",
    ),
    "a missing parameter": ({"v": 1, "method": "keys.show"}, "key"),
    "a parameter of another type": (
        {"v": 1, "method": "keys.show", "params": {"key": 1}},
        "Expected `str`, got `int`",
    ),
    "a secret that nobody wants": (
        {"v": 1, "method": "status", "secrets": [1]},
        "takes 0 of what is attached, not 1",
    ),
    "a secret that is too long": (
        {"v": 1, "method": "tokens.unlock", "params": {}, "secrets": [65537]},
        "larger than 65536",
    ),
    "a secret of less than nothing": (
        {"v": 1, "method": "tokens.unlock", "params": {}, "secrets": [-1]},
        "larger than 65536",
    ),
    "a blob that is too long": (
        {"v": 1, "method": "tokens.restore", "params": {"name": "n"}, "blobs": [1 << 40]},
        "larger than 67108864",
    ),
}


@pytest.mark.parametrize(("request_", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_told_why_and_its_connection_ends(
    house: House, request_: Any, sentence: str
) -> None:
    connected = house.raw()
    connected.sendall(frame(request_))
    told = answer(connected)["error"]
    assert told["kind"] in ("BadRequest", "LimitExceeded")
    assert sentence in told["what"]
    assert is_closed(connected)
    assert house.client().status()["version"] == "0"


@pytest.mark.parametrize("size", [0, schema.MAX_FRAME + 1, 2**31, 2**32 - 1])
def test_a_frame_of_a_length_that_cannot_be_ends_its_connection(house: House, size: int) -> None:
    connected = house.raw()
    connected.sendall(struct.pack(">I", size) + b"{}")
    assert is_closed(connected)
    assert house.client().keys() == []


def test_a_request_may_be_cut_off_at_every_byte(house: House) -> None:
    house.token()
    head = {"v": 1, "method": "tokens.unlock", "params": {}, "secrets": [len(PASSPHRASE)]}
    whole = frame(head) + PASSPHRASE
    house.client().lock()
    for cut in range(len(whole)):
        with house.raw() as connected:
            connected.sendall(whole[:cut])
    assert house.client().status()["tokens"][0]["locked"]


def test_an_error_does_not_end_a_connection_that_is_in_step(client: Client) -> None:
    with pytest.raises(errors.KeyNotFound):
        client.key("nobody")
    listed = client.keys()
    assert [key["name"] for key in listed] == ["laptop"]


def test_requests_that_come_at_once_are_answered_in_order(house: House) -> None:
    house.token()
    connected = house.raw()
    house.client().lock()
    one = frame({"v": 1, "method": "keys.new", "params": {"name": "a"}})
    unlock = frame({"v": 1, "method": "tokens.unlock", "params": {}, "secrets": [5]}) + b"wrong"
    connected.sendall(unlock + one + frame({"v": 1, "method": "keys.list"}))
    assert answer(connected)["error"]["kind"] == "PassphraseIncorrect"
    assert answer(connected)["error"]["kind"] == "TokenLocked"
    assert answer(connected)["result"]["keys"] == []


@given(st.binary(max_size=200))
def test_arbitrary_frames_are_refused_with_a_sentence(content: bytes) -> None:
    try:
        call = _call(content)
        _params(call, _method(call))
    except BadRequest:
        return
    assert json.loads(content)["method"] in METHODS


def test_a_secret_is_in_no_answer_and_in_no_record(house: House, client: Client) -> None:
    client.lock()
    with pytest.raises(errors.PassphraseIncorrect) as refused:
        client.unlock(b"hunter2-hunter2")
    told = msgspec.json.encode(house.trail.records)
    assert b"hunter2" not in told
    assert PASSPHRASE not in told
    assert "hunter2" not in str(refused.value)


# --- the client ----------------------------------------------------------------------


def test_no_daemon_is_told_with_the_socket_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.DaemonNotRunning, match="keyholm serve") as raised:
        connect(str(tmp_path / "control"))
    assert str(tmp_path / "control") in raised.value.what


@pytest.mark.parametrize("kind", sorted(leaves(), key=str))
def test_every_error_is_rebuilt_as_what_it_was(kind: type[KeyholmError]) -> None:
    from keyholm.client import rebuilt

    error = rebuilt({"kind": kind.__name__, "what": "What.", "remedy": "Do."})
    assert type(error) is kind
    assert str(error) == "What. Do."


def test_a_refusal_is_told_although_the_daemon_hung_up_on_the_rest(house: House) -> None:
    with pytest.raises(BadRequest, match="takes 0"):
        house.client().call("status", secrets=[b"x"] * 4, blobs=[bytes(1 << 20)])


def test_a_reply_that_is_too_long_is_not_waited_for() -> None:
    here, there = socket.socketpair()
    with here, there, Client(here) as client:
        there.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(errors.DaemonFailed, match="a reply of 4294967295 bytes"):
            client.status()


@pytest.mark.parametrize(
    "reply",
    [b"", b"\0\0\0\2{", b"\0\0\0\1x", b"\xff\xff\xff\xff", frame([]), frame({"secrets": ["x"]})],
)
def test_a_daemon_that_talks_nonsense_is_a_failed_daemon(tmp_path: Path, reply: bytes) -> None:
    here, there = socket.socketpair()
    with here, there, Client(here) as client:
        there.sendall(reply)
        there.shutdown(socket.SHUT_WR)
        with pytest.raises(errors.DaemonFailed, match="keyholm doctor"):
            client.status()


# --- X.509 certificates ----------------------------------------------------------------


def x509_for(key: Mapping[str, Any]) -> str:
    """A certificate of an Ed25519 key, as an authority would give one (PEM)."""
    authority = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "laptop")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(cast(Any, load_ssh_public_key(key["public"].encode())))
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(authority, None)
    )
    return made.public_bytes(Encoding.PEM).decode()


def test_an_x509_certificate_is_put_beside_its_key_and_taken_away(house: House) -> None:
    house.token()
    laptop, other = house.key(), house.key("other")
    own = house.client()
    pem = "what openssl says of it\n" + x509_for(laptop)
    own.call("certificates.add", {"key": "laptop", "name": "work", "certificate": pem})
    [held] = house.gate.inventory.with_id(KeyId(laptop["id"]))
    assert [each.name for each in house.gate.certificates.x509_of(held)] == ["work"]
    wrong = {"key": "laptop", "name": "b", "certificate": x509_for(other)}
    with pytest.raises(BadCertificate, match="another key"):
        own.call("certificates.add", wrong)
    own.call("certificates.remove", {"key": "laptop", "name": "work"})
    assert house.gate.certificates.x509_of(held) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_refused(client: Client, text: str) -> None:
    with pytest.raises(Invalid):
        client.call("certificates.add", {"key": "laptop", "name": "c", "certificate": text})
