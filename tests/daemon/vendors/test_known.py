"""Well-known modules: found by their files, with what each of them needs."""

from pathlib import Path

import pytest
from tests.daemon.vendors.elf_files import library, write

from keyholm.daemon import module_files
from keyholm.daemon.vendors import known
from keyholm.daemon.vendors.known import (
    BY_NAME,
    KNOWN,
    installed,
    name_for,
    needs_of_module,
    of_file,
)
from keyholm.daemon.vendors.needs import Here, Kind, Need
from keyholm.daemon.vendors.needs_of import nss_folder, server_socket, token_folder

HOME = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/1000"}


def here(root: Path, init_args: str = "", **env: str) -> Here:
    return Here(env, init_args, HOME, str(root))


def facts(path: str, where: Here) -> set[tuple[str, str]]:
    return {(str(need.kind), need.value) for need in needs_of_module(path, where)}


def put(root: Path, path: str, content: str = "") -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_names_are_good_names_and_all_have_a_source() -> None:
    assert len(BY_NAME) == len(KNOWN)
    for each in KNOWN:
        assert module_files.NAME.fullmatch(each.name)
        assert each.source


def test_they_are_all_in_the_documentation() -> None:
    text = Path(__file__).parents[3].joinpath("docs/modules.md").read_text()
    for each in KNOWN:
        assert f"| `{each.name}` | {each.title} |" in text, each.name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so", "opensc"),
        ("/usr/lib/libykcs11.so.2.3.1", "ykcs11"),
        ("/usr/lib/libtpm2_pkcs11.so.1", "tpm2-pkcs11"),
        ("/opt/nfast/toolkits/pkcs11/libcknfast.so", "nshield"),
        ("/usr/lib/libCryptoki2_64.so", "luna"),
    ],
)
def test_a_module_is_known_by_its_file(file: str, name: str) -> None:
    found = of_file(file)
    assert found
    assert found.name == name


def test_a_link_is_known_by_where_it_leads(tmp_path: Path) -> None:
    real = write(tmp_path / "libsofthsm2.so", library())
    (tmp_path / "hsm.so").symlink_to(real)
    found = of_file(str(tmp_path / "hsm.so"))
    assert found
    assert found.name == "softhsm2"
    assert of_file("/usr/lib/libacme.so") is None


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/a/libacme-pkcs11.so.2", "acme"),
        ("/a/Acme_P11_v2.so", "acme-v2"),
        ("/a/pkcs11.so", "module"),
        ("/a/libsofthsm2.so", "softhsm2"),
        ("/a/" + "x" * 60 + ".so", "x" * 32),
    ],
)
def test_a_name_is_made_of_the_file(file: str, name: str) -> None:
    assert name_for(file) == name
    assert module_files.NAME.fullmatch(name_for(file))


def test_those_that_are_installed_are_found_and_the_lasting_name_is_taken(tmp_path: Path) -> None:
    for file in ("lib/libykcs11.so.2", "lib/libykcs11.so", "lib/pkcs11/opensc-pkcs11.so"):
        put(tmp_path, file)
    put(tmp_path, "opt/cloudhsm/lib/libcloudhsm_pkcs11.so")
    found = {each.known.name: each.path for each in installed(here(tmp_path), ("/lib",))}
    assert found == {
        "opensc": "/lib/pkcs11/opensc-pkcs11.so",
        "ykcs11": "/lib/libykcs11.so",
        "cloudhsm": "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
    }


# --- what each needs -----------------------------------------------------------------


def test_softhsm_has_its_tokens_where_its_configuration_says(tmp_path: Path) -> None:
    put(tmp_path, "/my.conf", "# directories.tokendir = /no\ndirectories.tokendir = /my/tokens/\n")
    assert facts("/libsofthsm2.so", here(tmp_path, SOFTHSM2_CONF="/my.conf")) == {
        ("reads", "/my.conf"),
        ("writes", "/my/tokens"),
    }


def test_softhsm_is_told_of_the_configuration_at_home(tmp_path: Path) -> None:
    own = "/home/me/.config/softhsm2/softhsm2.conf"
    put(tmp_path, own, "directories.tokendir=/home/me/tokens")
    assert facts("/libsofthsm2.so", here(tmp_path)) == {
        ("env", f"SOFTHSM2_CONF={own}"),
        ("reads", own),
        ("writes", "/home/me/tokens"),
    }


def test_softhsm_else_has_the_systems(tmp_path: Path) -> None:
    put(tmp_path, "/etc/softhsm/softhsm2.conf", "directories.tokendir = /var/lib/softhsm/tokens/")
    assert facts("/libsofthsm2.so", here(tmp_path)) == {
        ("reads", "/etc/softhsm/softhsm2.conf"),
        ("writes", "/var/lib/softhsm/tokens"),
    }


def test_a_configuration_without_a_folder_gives_none() -> None:
    assert token_folder("directories.tokendir =\n") == ""
    assert token_folder("objectstore.backend = file") == ""


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("devices", "/dev/tpmrm0")),
        ({"TPM2_PKCS11_TCTI": "device:/dev/tpm0"}, ("devices", "/dev/tpm0")),
        ({"TPM2_PKCS11_TCTI": "tabrmd:"}, ("sockets", "/run/dbus/system_bus_socket")),
        (
            {
                "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
                "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus,guid=00",
            },
            ("sockets", "/run/user/1/bus"),
        ),
        (
            {
                "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
                "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1/bus,guid=1",
            },
            ("sockets", "/run/user/1/bus"),
        ),
        ({"TPM2_PKCS11_TCTI": "swtpm:path=/run/tpm.sock"}, ("sockets", "/run/tpm.sock")),
        ({"TCTI": "swtpm:host=localhost,port=2321"}, ("network", "")),
        ({"TPM2_PKCS11_TCTI": "mssim"}, ("network", "")),
    ],
)
def test_a_tpm_is_reached_as_its_tcti_says(
    tmp_path: Path, env: dict[str, str], expected: tuple[str, str]
) -> None:
    assert facts("/libtpm2_pkcs11.so", here(tmp_path, **env)) == {expected}


def test_a_tpm_has_its_tokens_in_the_store(tmp_path: Path) -> None:
    put(tmp_path, "/home/me/.tpm2_pkcs11/tpm2_pkcs11.sqlite3")
    assert facts("/libtpm2_pkcs11.so", here(tmp_path, TCTI="tabrmd:")) == {
        ("env", "TPM2_PKCS11_STORE=/home/me/.tpm2_pkcs11"),
        ("writes", "/home/me/.tpm2_pkcs11"),
        ("sockets", "/run/dbus/system_bus_socket"),
    }
    named = here(tmp_path, TPM2_PKCS11_STORE="/srv/tpm", TCTI="tabrmd:")
    assert ("writes", "/srv/tpm") in facts("/libtpm2_pkcs11.so", named)


def test_smartcards_are_reached_through_pcscd(tmp_path: Path) -> None:
    pcscd = ("sockets", "/run/pcscd")
    assert facts("/opensc-pkcs11.so", here(tmp_path)) == {pcscd, ("reads", "/etc/opensc")}
    assert facts("/libykcs11.so", here(tmp_path)) == {pcscd}
    mine = here(tmp_path, PCSCLITE_CSOCK_NAME="/tmp/comm", OPENSC_CONF="/tmp/opensc.conf")
    assert facts("/opensc-pkcs11.so", mine) == {
        ("sockets", "/tmp/comm"),
        ("reads", "/tmp/opensc.conf"),
    }


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ("configdir='sql:/home/me/.pki/nssdb' certPrefix=''", "/home/me/.pki/nssdb"),
        ('configdir="/with space"', "/with space"),
        ("configdir=dbm:/a flags=readOnly", "/a"),
        ("flags=noModDB", ""),
    ],
)
def test_nss_names_its_database(arguments: str, folder: str) -> None:
    assert nss_folder(arguments) == folder


def test_nss_writes_unless_it_only_reads(tmp_path: Path) -> None:
    written = here(tmp_path, "configdir='sql:/db'")
    read = here(tmp_path, "configdir='sql:/db' flags=readOnly")
    assert facts("/libsoftokn3.so", written) == {("writes", "/db")}
    assert facts("/libsoftokn3.so", read) == {("reads", "/db")}


def test_nss_wants_to_be_told(tmp_path: Path) -> None:
    wants = BY_NAME["nss"].wants(here(tmp_path))
    assert "--init-args \"configdir='sql:/home/me/.pki/nssdb'" in wants
    assert BY_NAME["nss"].wants(here(tmp_path, "configdir='sql:/db'")) == ""
    assert BY_NAME["nss"].wants(here(tmp_path, "flags=noCertDB,noModDB,noDB")) == ""


def test_opencryptoki_shares_memory_with_its_daemon(tmp_path: Path) -> None:
    found = facts("/libopencryptoki.so.0", here(tmp_path))
    assert {("ipc", ""), ("sockets", "/run/pkcsslotd.socket"), ("writes", "/dev/shm")} < found


def test_a_yubihsm_is_where_its_connector_is(tmp_path: Path) -> None:
    put(tmp_path, "/net.conf", "connector = http://10.0.0.1:12345\ncacert=/ca.pem # mine\n")
    put(tmp_path, "/usb.conf", "connector=yhusb://serial=1234")
    over_net = here(tmp_path, YUBIHSM_PKCS11_CONF="/net.conf")
    assert facts("/yubihsm_pkcs11.so", over_net) == {
        ("reads", "/net.conf"),
        ("network", ""),
        ("reads", "/ca.pem"),
    }
    over_usb = here(tmp_path, YUBIHSM_PKCS11_CONF="/usb.conf")
    assert ("devices", "/dev/bus/usb") in facts("/yubihsm_pkcs11.so", over_usb)
    assert "YUBIHSM_PKCS11_CONF" in BY_NAME["yubihsm"].wants(here(tmp_path))


def test_the_certificates_of_a_luna_are_where_it_says(tmp_path: Path) -> None:
    put(tmp_path, "/etc/Chrystoki.conf", "LunaSA Client = {\n ServerCAFile = /safe/cert/CA.pem;\n}")
    assert facts("/libCryptoki2_64.so", here(tmp_path)) == {
        ("network", ""),
        ("reads", "/etc/Chrystoki.conf"),
        ("reads", "/safe/cert"),
    }


def test_a_p11_kit_server_is_where_its_address_says(tmp_path: Path) -> None:
    given = here(tmp_path, P11_KIT_SERVER_ADDRESS="unix:path=/run/p11")
    assert facts("/p11-kit-client.so", given) == {("sockets", "/run/p11")}
    assert server_socket("vsock:cid=3") == ""
    usual = facts("/p11-kit-client.so", here(tmp_path))
    assert ("env", "P11_KIT_SERVER_ADDRESS=unix:path=/run/user/1000/p11-kit/pkcs11") in usual


@pytest.mark.parametrize("each", KNOWN, ids=lambda each: each.name)
def test_whatever_one_needs_can_be_written_into_its_file(tmp_path: Path, each: known.Known) -> None:
    """With nothing there, and with every variable that it knows."""
    for env in ({}, dict.fromkeys(each.variables, "/given")):
        for need in each.needs(here(tmp_path, "configdir='/db'", **env)):
            if need.kind in (Kind.READS, Kind.WRITES, Kind.DEVICES, Kind.SOCKETS):
                assert need.value == "" or need.value.startswith("/"), need
            assert need.why


def test_of_an_unknown_module_what_its_variables_name_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "/acme.conf")
    given = here(tmp_path, ACME_CONF="/acme.conf", ACME_LEVEL="5", ACME_GONE="/none")
    found = needs_of_module("/libacme.so", given)
    assert found == [Need(Kind.READS, "/acme.conf", "ACME_CONF names it")]


def test_what_is_written_is_not_asked_for_twice(tmp_path: Path) -> None:
    put(tmp_path, "/tokens/my.conf", "directories.tokendir = /tokens")
    given = here(tmp_path, SOFTHSM2_CONF="/tokens/my.conf")
    assert facts("/libsofthsm2.so", given) == {("writes", "/tokens")}
