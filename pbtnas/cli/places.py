"""What a user types for the place of a run: a directory, or a URL for a run in a bucket."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from pbtnas.store.bucket.address import CACHE, CACHE_GB, is_url
from pbtnas.store.bucket.address import shown as in_urls
from pbtnas.store.opening import place_of


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

    Raises what `place_of` raises.
    """
    if not is_url(text):
        return Path(text)
    root = place_of(text)
    _say_urls(root)
    return root


class _Urls(logging.Filter):
    """Lets messages name the run by its URL."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (shown := in_urls(text, self._root)) != text:
            record.msg, record.args = shown, ()
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
