"""Serves the page: a few files of ours, plotly's script as it was installed, and data as JSON.

Nothing can be written through it.  Names and texts of a run directory only travel as JSON, and the
page puts them in as text; the policy below lets the browser execute nothing but these files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pbtnas.dashboard.disk import disk
from pbtnas.dashboard.followed_run import FollowedRun
from pbtnas.dashboard.followed_runs import FollowedRuns
from pbtnas.dashboard.hosts import is_own, own_names
from pbtnas.dashboard.json_text import to_text
from pbtnas.dashboard.member import member_data
from pbtnas.dashboard.pictures import media_type, picture
from pbtnas.dashboard.previews import preview
from pbtnas.errors import PbtnasError
from pbtnas.store.opening import open_files
from pbtnas.store.reader import RunReader

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/text.js": ("text.js", "text/javascript"),
    "/figures.js": ("figures.js", "text/javascript"),
    "/member.js": ("member.js", "text/javascript"),
    "/overview.js": ("overview.js", "text/javascript"),
    "/previews.js": ("previews.js", "text/javascript"),
    "/plotly.css": ("plotly.css", "text/css"),
}
PLOTLY = "package_data/plotly.min.js"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",  # plotly draws a heat map as one
        "media-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def application(runs: FollowedRuns, host: str) -> Starlette:
    """The page of these runs, for a server that listens at `host`."""
    routes = [
        *(Route(path, _file(*file)) for path, file in FILES.items()),
        Route("/plotly.js", _plotly),
        Route("/data/runs", lambda request: _json(runs.data())),
        Route("/data/run/{run:int}", _of_run(runs, _run)),
        Route("/data/run/{run:int}/disk", _of_run(runs, _disk)),
        Route("/data/run/{run:int}/{generation:int}/{member:int}", _of_run(runs, _member)),
        Route("/data/run/{run:int}/{generation:int}/{member:int}/preview", _of_run(runs, _preview)),
        Route("/data/run/{run:int}/picture/{leaf}", _of_run(runs, _picture)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guard, host=host)])


class _Guard:
    """Refuses foreign Host headers, and adds to every answer what the browser may do with it."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host
        self._names = own_names(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":  # nothing but the start and the end of the server
            await self._app(scope, receive, send)
        elif is_own(Headers(scope=scope).get("host", ""), self._host, self._names):
            await self._app(scope, receive, guarded)
        else:
            refusal = PlainTextResponse("This server does not have that name.\n", 421)
            await refusal(scope, receive, guarded)


def _file(leaf: str, kind: str) -> Callable[[Request], Response]:
    path = Path(__file__).with_name("files") / leaf
    return lambda request: FileResponse(path, media_type=kind)


def _plotly(request: Request) -> Response:
    found = importlib.util.find_spec("plotly")
    assert found is not None and found.submodule_search_locations, "the command has looked for it"
    return FileResponse(
        Path(found.submodule_search_locations[0]) / PLOTLY, media_type="text/javascript"
    )


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _of_run(
    runs: FollowedRuns, answer: Callable[[Request, FollowedRun], Response]
) -> Callable[[Request], Response]:
    """The answer about the run that the address names."""

    def respond(request: Request) -> Response:
        run = runs.run(request.path_params["run"])
        return _nothing() if run is None else answer(request, run)

    return respond


def _nothing() -> Response:
    return PlainTextResponse("There is nothing.\n", 404)


def _run(request: Request, run: FollowedRun) -> Response:
    shown, since = request.query_params.get("run", ""), request.query_params.get("since", "0")
    run.look()
    return _json(run.data(shown, int(since) if since.isdecimal() else 0))


def _disk(request: Request, run: FollowedRun) -> Response:
    return _json(to_text(disk(run.root)))


def _member(request: Request, run: FollowedRun) -> Response:
    history, asked = run.history, request.path_params
    if history is None:
        return _nothing()
    try:
        found = member_data(history, run.evolution, asked["generation"], asked["member"])
    except (PbtnasError, OSError) as error:
        return _json(to_text({"sentence": str(error)}))
    return _nothing() if found is None else _json(to_text(found))


def _picture(request: Request, run: FollowedRun) -> Response:
    leaf = request.path_params["leaf"]
    kind = media_type(leaf) or ""

    def read(files: RunReader) -> tuple[bytes, str] | None:
        content = picture(files, leaf)
        return None if content is None else (content, kind)

    return _shown(run, read)


def _preview(request: Request, run: FollowedRun) -> Response:
    asked = request.path_params
    return _shown(run, lambda files: preview(files, asked["generation"], asked["member"]))


def _shown(run: FollowedRun, read: Callable[[RunReader], tuple[bytes, str] | None]) -> Response:
    """A picture of a run, with its media type."""
    try:
        with open_files(run.root) as files:
            found = read(files)
    except (PbtnasError, OSError) as error:
        return PlainTextResponse(f"{error}\n", 404)
    return _nothing() if found is None else Response(found[0], media_type=found[1])
