"""The system's programs that demo and tests want: which, what for, and how to get them.

Installed only as root or where sudo asks nothing; never is a service started or left enabled.
Otherwise the exact command is printed. For the demo alone there is a third way, which needs no
rights and leaves the system as it is: the packages are downloaded and unpacked under .dev/.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_config_var

from tools.project import ROOT

# sbin holds sshd and is not on every user's PATH.
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

BORROWED = ROOT / ".dev"

LIBRARIES = f"/usr/lib/{get_config_var('MULTIARCH')}"
YKCS11 = f"{LIBRARIES}/libykcs11.so.2"


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    proof: str  # a program on PATH, or a file: where it is, the package is
    wanted_for: str
    demo: bool = False
    # Its files are wanted and not what installing it does to the machine.
    unpacked: bool = False

    def is_here(self) -> bool:
        if self.proof.startswith("/"):
            return Path(self.proof).exists()
        return shutil.which(self.proof, path=SEARCHED) is not None


PACKAGES = (
    Package("openssh-client", "ssh-add", "ssh, ssh-add, ssh-keygen: the real clients", demo=True),
    Package("openssh-server", "sshd", "a private sshd to log in to", demo=True),
    Package("git", "git", "commits signed with a key", demo=True),
    Package(
        "openssh-tests",
        "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so",
        "OpenSSH's own tests, and a security key in software",
    ),
    Package("pinentry-curses", "pinentry-curses", "a real pinentry to be asked through"),
    Package(
        "libp11-kit-dev",
        "/usr/include/p11-kit-1/p11-kit/pkcs11.h",
        "numbers and structures of PKCS#11 as others have them",
    ),
    Package("gcc", "gcc", "the native module, and its sanitizers"),
    Package("valgrind", "valgrind", "that the native module leaks nothing"),
    Package("libc6-dev", "/usr/include/stdio.h", "the native module"),
    Package("p11-kit", "p11-kit", "a program that modules are registered with"),
    Package("opensc", "pkcs11-tool", "a program that makes and uses keys through the module"),
    Package(
        "libengine-pkcs11-openssl",
        "/usr/share/doc/libengine-pkcs11-openssl",
        "OpenSSL's engine for PKCS#11, which curl, nginx and others use",
    ),
    Package("libnss3-tools", "modutil", "the same, for browsers"),
    Package("gnutls-bin", "p11tool", "a program that p11-kit brings to our keys"),
    Package("softhsm2", "softhsm2-util", "a PKCS#11 module of somebody else"),
    Package("opensc", "pkcs11-tool", "a program that loads a module by its path"),
    Package(
        "libengine-pkcs11-openssl",
        f"{LIBRARIES}/engines-3/pkcs11.so",
        "OpenSSL with our module",
    ),
    Package("default-jre-headless", "keytool", "Java with our module"),
    Package("pcscd", "pcscd", "a private pcscd, for a card in software"),
    Package(
        "vsmartcard-vpcd",
        str(BORROWED / "tree/usr/lib/pcsc/drivers/serial/libifdvpcd.so"),
        "the reader that it lies in",
        unpacked=True,  # its configuration has any pcscd of the machine listen to the network
    ),
    Package("ykcs11", YKCS11, "a PKCS#11 module for YubiKeys"),
    Package("yubico-piv-tool", "yubico-piv-tool", "a program that judges our card"),
    Package("yubikey-manager", "ykman", "a program that judges our card"),
    Package("opencryptoki", "pkcsslotd", "a PKCS#11 module with a daemon of its own"),
    Package("libtpm2-pkcs11-1", f"{LIBRARIES}/pkcs11/libtpm2_pkcs11.so", "a TPM's PKCS#11 module"),
    Package("libtpm2-pkcs11-tools", "tpm2_ptool", "its store"),
    Package("tpm2-tools", "tpm2_getcap", "its store"),
    Package("tpm2-openssl", f"{LIBRARIES}/ossl-modules/tpm2.so", "a TPM's keys in OpenSSL"),
    Package("tpm2-abrmd", "tpm2-abrmd", "a TPM for several programs at once"),
    Package("libtss2-tcti-tabrmd0", f"{LIBRARIES}/libtss2-tcti-tabrmd.so.0", "the way to it"),
    Package("libtss2-tcti-swtpm0", f"{LIBRARIES}/libtss2-tcti-swtpm.so.0", "the way to swtpm"),
    Package("swtpm", "swtpm", "a TPM in software"),
    Package("swtpm-tools", "swtpm_setup", "a TPM in software"),
    Package("dbus-daemon", "dbus-daemon", "a private bus for tpm2-abrmd"),
    Package("libnss3", f"{LIBRARIES}/libsoftokn3.so", "the PKCS#11 module of browsers"),
    Package("gdb", "gdb", "proof that a debugger cannot look into the daemon"),
)
# What the suites of other people want besides, as .ci/run starts them.
SUITES = (
    Package("sudo", "sudo", "OpenSSH's tests of who may speak to an agent"),
    Package("openssl", "openssl", "OpenSSH's tests"),
)


def missing(packages: Iterable[Package] = PACKAGES) -> list[Package]:
    return [package for package in packages if not package.is_here()]


def install(packages: Sequence[Package]) -> list[Package]:
    """Install them if that is allowed; gives those that are still missing, after saying so."""
    if not packages:
        return []
    become_root = way_to_root()
    installed = [package.name for package in packages if not package.unpacked]
    if installed and shutil.which("apt-get", path=SEARCHED) and become_root is not None:
        _apt_get(become_root, installed)
    for package in packages:
        if package.unpacked:
            unpack(package)
    left = missing(packages)
    if left:
        print("Not installed here; what needs it is skipped, with its reason:")
        for package in left:
            print(f"  {package.name:16} {package.wanted_for}")
        names = " ".join(package.name for package in left if not package.unpacked)
        if names:
            print(f"To have everything:\n  sudo apt-get install -y --no-install-recommends {names}")
    return left


def way_to_root() -> list[str] | None:
    """The words to put before a command so that root runs it; None where that is not allowed."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


# The policy file is Debian's way to say that no maintainer script may start a service
# (invoke-rc.d(8)). One that an administrator wrote is left alone: it decides then.
APT_GET = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install --no-install-recommends "$@"
# A server that came for a test must not be there after the next start of the machine.
if [ -d /run/systemd/system ]; then
    for name in "$@"; do
        case $name in
        openssh-server) systemctl --quiet disable ssh.service ;;
        pcscd) systemctl --quiet disable pcscd.socket pcscd.service ;;
        opencryptoki) systemctl --quiet disable pkcsslotd.service ;;
        tpm2-abrmd) systemctl --quiet disable tpm2-abrmd.service ;;
        esac
    done
fi
"""


def _apt_get(become_root: Sequence[str], names: Sequence[str]) -> None:
    print(f"  apt-get install {' '.join(names)} ...", flush=True)
    done = subprocess.run(
        [*become_root, "sh", "-c", APT_GET, "apt", *names],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        print("  apt-get failed:\n    " + "\n    ".join(done.stdout.strip().splitlines()[-8:]))


def borrow(packages: Sequence[Package]) -> bool:
    """Download and unpack, as whoever we are; programs appear in .dev/bin. True if all came."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return False
    (BORROWED / "bin").mkdir(parents=True, exist_ok=True)
    print(f"  unpacking a private copy of {', '.join(p.name for p in packages)} ...", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".apt-") as state:
        for archive in _download(Path(state), [package.name for package in packages]):
            subprocess.run(["dpkg-deb", "-x", archive, BORROWED / "tree"], check=True)
    _wrap(BORROWED / "tree")
    return all(is_borrowed(package) for package in packages)


def unpack(package: Package) -> None:
    """Only its own files, without what it depends on, as whoever we are."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return
    BORROWED.mkdir(parents=True, exist_ok=True)
    print(f"  unpacking a private copy of {package.name} ...", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".apt-") as state:
        for archive in _download_alone(Path(state), package.name):
            subprocess.run(["dpkg-deb", "-x", archive, BORROWED / "tree"], check=True)


def is_borrowed(package: Package) -> bool:
    return (BORROWED / "bin" / package.proof).exists()


def _download(state: Path, names: Sequence[str]) -> list[Path]:
    """Them, and what they need and the system does not have."""
    fetch = ["install", "-y", "--download-only", "--no-install-recommends", *names]
    _with_own_lists(state, fetch)
    return sorted((state / "cache" / "archives").glob("*.deb"))


def _download_alone(folder: Path, name: str) -> list[Path]:
    # The system's lists, if it has any, save fetching our own.
    words = ["apt-get", "-qq", "download", name]
    if subprocess.run(words, cwd=folder, capture_output=True).returncode:
        _with_own_lists(folder, words[2:])
    return sorted(folder.glob("*.deb"))


def _with_own_lists(state: Path, fetch: Sequence[str]) -> None:
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    options = [
        f"Dir::State={state}",
        f"Dir::State::lists={state / 'lists'}",
        "Dir::State::status=/var/lib/dpkg/status",
        f"Dir::Cache={state / 'cache'}",
        "Debug::NoLocking=1",
        "APT::Sandbox::User=",
    ]
    apt_get = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    for verb in (["update"], fetch):
        done = subprocess.run([*apt_get, *verb], cwd=state, text=True, capture_output=True)
        if done.returncode:
            print("    " + "\n    ".join(done.stderr.strip().splitlines()[-4:]))
            return


# Each program gets the libraries that came with it, and nobody else does: a variable for all
# would reach into every other program as well.
WRAPPER = """\
#!/bin/sh
tree='{tree}'
LD_LIBRARY_PATH=$(echo "$tree"/usr/lib/*-linux-gnu*):$(echo "$tree"/lib/*-linux-gnu*)
GIT_EXEC_PATH=$tree/usr/lib/git-core GIT_TEMPLATE_DIR=$tree/usr/share/git-core/templates
export LD_LIBRARY_PATH GIT_EXEC_PATH GIT_TEMPLATE_DIR
exec "$tree/{program}" {options} "$@"
"""
# From OpenSSH 9.8 on, sshd is several programs that find each other by fixed paths.
SSHD_PARTS = {"sshd-session": "SshdSessionPath", "sshd-auth": "SshdAuthPath"}


def _wrap(tree: Path) -> None:
    for program in [*tree.glob("usr/bin/*"), *tree.glob("usr/sbin/*")]:
        if shutil.which(program.name, path=SEARCHED) is None:
            options = sshd_options(tree) if program.name == "sshd" else ""
            wrapper = BORROWED / "bin" / program.name
            inside = program.relative_to(tree)
            wrapper.write_text(WRAPPER.format(tree=tree, program=inside, options=options))
            wrapper.chmod(0o755)


def sshd_options(tree: Path) -> str:
    parts = {tree / "usr/lib/openssh" / name: option for name, option in SSHD_PARTS.items()}
    return " ".join(f"-o '{option}={path}'" for path, option in parts.items() if path.exists())
