"""The connection of a training process to its worker."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Channel:
    """The socket to the worker: JSON lines in both directions."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""
        self._at_disk = ""

    def send(self, **message: Any) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    @contextmanager
    def at_disk(self, what: str) -> Iterator[None]:
        """Read or write, and tell the worker so: however long it takes, it is no hang."""
        outer, self._at_disk = self._at_disk, what
        self.send(disk=what)
        try:
            yield
        finally:
            self._at_disk = outer
            self.send(disk=outer)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the worker is gone."""
        while b"\n" not in self._received:
            more = self._socket.recv(1 << 16)
            if not more:
                return None
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def waiting(self, longest_s: float = 0.0) -> bool:
        """Whether the worker says something, or is gone, within that time.

        While a job runs, the only thing it says is "halt".
        """
        return bool(self._received or select.select([self._socket], [], [], longest_s)[0])
