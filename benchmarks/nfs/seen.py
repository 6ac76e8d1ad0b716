"""How late one NFS client sees a name that another publishes (run by `client2.sh`, `client3.sh`).

    seen.py publish DIRECTORY            publishes the names it is asked for
    seen.py look DIRECTORY ADDRESS       looks a name up, has it published at ADDRESS, and polls

Prints seconds from the publish until `look` finds the name: plainly, and through the
`RunReader` that everything in pbtnas reads with; in a directory that it knows, and in one that
is made together with the name.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pbtnas.records.names import Name
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader

PORT, TRIES, LOOK_S = 5001, 5, 0.02


def publish(root: Path) -> None:
    """Publish each name that comes in, and reply when it is done."""
    connection, _ = socket.create_server(("0.0.0.0", PORT)).accept()
    with PosixStore(root, "publisher") as store, connection.makefile("rw") as lines:
        for line in lines:
            name = Name(line.strip())
            (root / name).parent.mkdir(exist_ok=True)
            store.put(name, b"published")
            lines.write("done\n")
            lines.flush()


def look(root: Path, address: str) -> None:
    """Measure and print."""
    lines = connected(address).makefile("rw")
    with RunReader(root) as reader:
        ways: dict[str, Callable[[Name], bool]] = {
            "reader.get": lambda name: reader.get(name) is not None,
            "reader.exists": reader.exists,
            "plain": lambda name: (root / name).exists(),
        }
        for way, found in ways.items():
            for directory in ("", "new"):
                late = []
                for i in range(TRIES if way != "plain" else 2):
                    leaf = f"{way}-{i}"
                    name = Name(f"{directory}-{leaf}/x" if directory else leaf)
                    assert not found(name)
                    lines.write(f"{name}\n")
                    lines.flush()
                    lines.readline()
                    began_s = time.monotonic()
                    while not found(name):
                        time.sleep(LOOK_S)
                    late.append(f"{time.monotonic() - began_s:.2f}")
                print(root.name, way, f"{directory or 'known'} directory", *late, flush=True)


def connected(address: str) -> socket.socket:
    """A connection to the publisher, as soon as there is one."""
    while True:
        try:
            return socket.create_connection((address, PORT))
        except OSError:
            time.sleep(0.2)


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    publish(Path(where)) if role == "publish" else look(Path(where), *rest)
