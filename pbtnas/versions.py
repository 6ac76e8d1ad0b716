"""The versions of what computes a result, found without importing it."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from pbtnas.version import __version__


def versions() -> dict[str, str]:
    """Those of pbtnas, torch, numpy and Python, by name."""
    return {
        "pbtnas": __version__,
        "torch": _installed("torch"),
        "numpy": _installed("numpy"),
        "python": platform.python_version(),
    }


@cache  # what is imported already stays as it is
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # it was put there without its metadata
        return "of an unknown version"
