"""Becomes opencryptoki's slot daemon in mounts and shared memory of its own: run by opencryptoki.py.

Its places are fixed when it is built: /var/lib, /run and /dev/shm. Here they are empty ones.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFIGURATION = "/etc/opencryptoki/opencryptoki.conf"
# As after the package's installation, for the one token that is in software.
FOLDERS = ("/var/lib/opencryptoki/swtok/TOK_OBJ", "/run/lock/opencryptoki/swtok")
OWNED = ("/var/lib/opencryptoki", "/run/lock/opencryptoki")
EMPTY = ("/var/lib/opencryptoki", "/run", "/dev/shm")
SLOT = 3


def main(folder: str) -> None:
    for place in EMPTY:
        subprocess.run(["mount", "-t", "tmpfs", "room", place], check=True)
    ours = Path(folder) / "opencryptoki.conf"
    ours.write_text(f"version opencryptoki-3.1\nslot {SLOT}\n{{\nstdll = libpkcs11_sw.so\n}}\n")
    subprocess.run(["mount", "--bind", str(ours), CONFIGURATION], check=True)
    for folder_of_token in FOLDERS:
        Path(folder_of_token).mkdir(parents=True)
    for base in map(Path, OWNED):
        for each in (base, *base.rglob("*")):
            shutil.chown(each, group="pkcs11")
            each.chmod(0o770)
    os.execvp("pkcsslotd", ["pkcsslotd", "-f"])


if __name__ == "__main__":
    main(sys.argv[1])
