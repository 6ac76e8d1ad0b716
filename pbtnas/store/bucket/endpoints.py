"""The address of an object store, where a variable names another one than the cloud's own.

Checked before anything is asked: with an address that is none, the library panics or says "builder
error".
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from pbtnas.errors import ExitCode, PbtnasError

ALLOW_HTTP = ("AWS_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "AZURE_ALLOW_HTTP")

_ADDRESSES = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    *("GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
)
_CLOUDS = {"s3": "AWS", "s3a": "AWS", "gs": "GOOGLE"}  # all other schemes are Azure's


class BadEndpoint(PbtnasError):
    """A variable with the address of a store that is none; one sentence."""

    exit_code = ExitCode.USAGE


def http_allowed() -> bool:
    """Whether a store may be asked without encryption."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in ALLOW_HTTP)


def check_endpoint(scheme: str) -> None:
    """Raise `BadEndpoint` for an address of stores with that scheme which cannot be used."""
    cloud = _CLOUDS.get(scheme, "AZURE")
    for name in _ADDRESSES:
        given = os.environ.get(name)
        if not given or not name.startswith(cloud):
            continue
        parts = urlsplit(given)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadEndpoint(f"{name}={given}: expected a URL, such as https://store:9000")
        if parts.scheme == "http" and not http_allowed():
            raise BadEndpoint(f"{name}={given}: an http:// address needs {cloud}_ALLOW_HTTP=true")
