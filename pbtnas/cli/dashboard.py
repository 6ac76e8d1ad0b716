"""The command that shows runs and studies on a web page."""

from __future__ import annotations

import importlib.util
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import disk_errors, leave
from pbtnas.errors import ExitCode

NEEDED = ("plotly", "starlette", "uvicorn")


@click.command()
@click.argument(
    "directories",
    nargs=-1,
    required=True,
    metavar="RUN_DIR|STUDY_DIR...",
    type=PlainPath(file_okay=False),
)
@click.option(
    "--port",
    default=8585,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of the page; 0 takes any that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; with another than the default, others can read the runs.",
)
def dashboard(directories: tuple[Path, ...], port: int, host: str) -> None:
    """A web page of runs and studies that follows them, e.g. `pbtnas dashboard runs/digits`.

    It only reads.  A run may still be to come.  End it with Ctrl-C.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        leave(ExitCode.USAGE, f'needs {", ".join(missing)} (pip install "pbtnas[dashboard]")')
    import uvicorn

    from pbtnas.dashboard.followed_runs import FollowedRuns
    from pbtnas.dashboard.hosts import is_loopback
    from pbtnas.dashboard.server import application

    with disk_errors(ExitCode.USAGE, place=directories[0]):
        runs = FollowedRuns(directories)
    with _listening(host, port) as listener:
        bound, *_ = listener.getsockname()[1:]
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"http://{shown}:{bound}/")
        if not is_loopback(host):
            click.echo("Whoever reaches this address can read the runs.", err=True)
        settings = uvicorn.Config(
            application(runs, host), log_level="warning", access_log=False, lifespan="off"
        )
        with suppress(KeyboardInterrupt):  # how one stops looking is no error
            uvicorn.Server(settings).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; says in one sentence why it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as until_it_listens:
            listener = until_it_listens.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # whoever follows the address at once is answered
            until_it_listens.pop_all()
    except OSError as error:
        leave(ExitCode.USAGE, f"--host {host} --port {port}: {error.strerror}")
    return listener
