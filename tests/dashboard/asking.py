"""Asks the application of the page as a browser does, without a server between."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from pbtnas.dashboard.followed_runs import FollowedRuns
from pbtnas.dashboard.server import application

NOW = 2_000_000_000.0


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers with names in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Asking:
    """A page of some directories, whose looks are not rationed.

    Args:
        runs: Runs that it follows.
        app: Its application.
    """

    runs: FollowedRuns
    app: Starlette

    def get(self, target: str, *, host: str = "127.0.0.1:8585", method: str = "GET") -> Answer:
        return asyncio.run(_ask(self.app, method, target, host))

    def look(self, target: str) -> Any:
        """The JSON of an answer, after a look that nothing has put off."""
        self.runs._next_s = float("-inf")
        for number in range(len(self.runs.listed)):
            run = self.runs.run(number)
            assert run is not None
            run._next_s = float("-inf")
        answer = self.get(target)
        assert answer.status == 200, answer.body
        return answer.json


def page_of(*directories: Path, host: str = "127.0.0.1") -> Asking:
    """The page of these directories, at a time that does not pass."""
    runs = FollowedRuns(directories, lambda: NOW)
    return Asking(runs, application(runs, host))


async def _ask(app: Starlette, method: str, target: str, host: str) -> Answer:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8585),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], headers, body)
