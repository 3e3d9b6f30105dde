"""Starts a worker with the prisoner in it and has it try things: a program, so that it can be
run as another user, or where the kernel refuses namespaces.

    python jailer.py FOLDER ROOT [refuse]     attempts as JSON on stdin, answers on stdout
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
KINDS = ("user", "mnt", "pid", "ipc", "net", "uts")


def refuse_namespaces() -> None:
    """For ourselves: in a user namespace in which there can be no others."""
    uid, gid = os.getuid(), os.getgid()
    assert ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    for kind in KINDS:
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")


def main() -> None:
    folder, root = Path(sys.argv[1]), sys.argv[2]
    if "refuse" in sys.argv:
        refuse_namespaces()
    from keyholm.worker.proxy import Worker
    from keyholm.worker.spec import Spec
    from keyholm.worker.start import DirectStarter

    options = json.load(sys.stdin)
    lines: list[str] = []
    with contextlib.ExitStack() as stack:
        for name in ("secret.sock", "declared/card.sock"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(folder / name))
            listener.listen()
        abstract = f"kh-{os.getpid()}"
        for address in (f"\0{abstract}", f"\0{abstract}-d"):
            kind = socket.SOCK_DGRAM if address.endswith("-d") else socket.SOCK_STREAM
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        places: dict[str, object] = {
            "TCP": tcp.getsockname()[1],
            "UDP": udp.getsockname()[1],
            "ABSTRACT": abstract,
            "DATAGRAMS": f"{abstract}-d",
            "KEEPER": os.getpid(),
            "PARENT": os.getppid(),
        }
        left_open = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(left_open, True)
        stack.callback(os.close, left_open)
        starter = DirectStarter(
            lambda name, path: Spec(name, path, **options["spec"]),
            "tests.worker.prisoner",
            folders=[root],
            log=lines.append,
        )
        worker = Worker(starter, "prisoner", options.get("library", ""))
        stack.callback(worker.close)
        answers = {}
        with worker.channel() as channel:
            for name, (way, *arguments) in options["attempts"].items():
                given = [places.get(str(each), each) for each in arguments]
                frame = json.dumps([way, *given]).encode()
                answers[name] = channel.call(frame, 100, way).decode()
        isolation = worker.isolation
        assert isolation is not None
        told = {
            "isolation": str(isolation),
            "full": isolation.full,
            "forks": isolation.forks,
            "answers": answers,
            "log": lines,
            "pid": worker.pid,
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
