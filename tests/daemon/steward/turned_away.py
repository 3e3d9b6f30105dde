"""A door, a steward, and a worker that comes to the door, where the kernel refuses namespaces:
a program, since its process is changed for good.

    python turned_away.py FOLDER ROOT      prints what the door said to us and to the worker
"""

import json
import os
import socket
import sys
from functools import partial
from pathlib import Path

from tests.worker.jailer import refuse_namespaces
from tests.worker.prisoner import attempt

from keyholm.daemon.asker import Asker, LooksUp
from keyholm.daemon.steward.server import start
from keyholm.daemon.steward.workers import Workers
from keyholm.daemon.wiring import admits
from keyholm.doors.serving import Connection, Limits, Serving, listen
from keyholm.worker.proxy import Worker
from keyholm.worker.spec import Spec


def greet(connection: Connection) -> None:
    for _ in connection.frames():
        connection.send(b"hello")


def main() -> None:
    folder, root = Path(sys.argv[1]), sys.argv[2]
    refuse_namespaces()
    path = str(folder / "door")
    spec = Spec("prisoner", "", sockets=(path,))
    make = Workers(lambda name, library: spec, "tests.worker.prisoner", folders=[root]).handlers
    client = start(make)
    who = LooksUp(client, Asker(), late=True)
    listener: socket.socket = listen(path)
    serving = Serving(
        listener,
        greet,
        accepts=partial(admits, who, lambda peer: True),
        limits=Limits(frame=1024),
        name="test",
    )
    serving.start()
    worker = Worker(client, "prisoner")
    with worker.channel() as channel:
        theirs = channel.call(json.dumps(["ask", path]).encode(), 60, "ask").decode()
    told = {"ours": attempt("ask", path), "theirs": theirs, "isolation": str(worker.isolation)}
    worker.close()
    serving.stop()
    client.close()
    os.waitpid(client.pid, 0)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
