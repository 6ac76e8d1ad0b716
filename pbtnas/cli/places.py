"""What a user types for the place of a run: a directory, or a URL for a run in a bucket."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from pbtnas.store.bucket.address import CACHE, CACHE_GB, is_url, local_directory
from pbtnas.store.bucket.address import shown as in_urls


class PlainPath(click.Path):
    """A file or directory of this machine."""

    def __init__(self, **kinds: Any) -> None:
        super().__init__(path_type=Path, **kinds)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and is_url(value):
            self.fail(f"{value}: expected a path, not a URL", param, ctx)
        return super().convert(value, param, ctx)


class RunPath(click.Path):
    """The directory of a run, or the local one of a run in a bucket."""

    def __init__(self, **kinds: Any) -> None:
        super().__init__(path_type=Path, **{"file_okay": False, **kinds})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and is_url(value):
            return run_place(value)
        return super().convert(value, param, ctx)


def run_place(text: str) -> Path:
    """The directory of this machine for what a user typed as the place of a run.

    Raises `BadAddress`, `NoBuckets` and `Refused`, each with one sentence, and `MachineTrouble`
    where the bucket cannot be reached.
    """
    if not is_url(text):
        return Path(text)
    from pbtnas.store.bucket.checking import check_reachable
    from pbtnas.store.bucket.client import client_of

    root = local_directory(text)
    _say_urls(root)
    try:
        client = client_of(_url_of(root))
    except FileNotFoundError:
        return root  # a directory that a coordinator will make
    check_reachable(client)
    return root


def _url_of(root: Path) -> str:
    from pbtnas.store.bucket.address import address_of

    address = address_of(root)
    assert address is not None, "it was marked just now"
    return address.url


class _Urls(logging.Filter):
    """Lets messages name the run by its URL."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = in_urls(record.getMessage(), self._root), ()
        return True


_places: list[Path] = []


def _say_urls(root: Path) -> None:
    _places.append(root)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Urls(root))


def as_typed(text: str) -> str:
    """A sentence that names runs in buckets by their URLs, as the user did."""
    for root in _places:
        text = in_urls(text, root)
    return text


def _set(variable: str) -> Any:
    def told(_: click.Context, __: click.Parameter, value: Any) -> None:
        if value is not None:
            os.environ[variable] = str(value)

    return told


def cache_options(command: Any) -> Any:
    """`--cache` and `--cache-gb`, which all processes that this one starts go by too."""
    command = click.option(
        "--cache-gb",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        is_eager=True,
        expose_value=False,
        callback=_set(CACHE_GB),
        help=f"Room for copies of checkpoints of a run in a bucket, in GB; 20 by default "
        f"({CACHE_GB}).",
    )(command)
    return click.option(
        "--cache",
        type=PlainPath(file_okay=False),
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_set(CACHE),
        help=f"Directory of this machine for runs in buckets ({CACHE}).",
    )(command)
