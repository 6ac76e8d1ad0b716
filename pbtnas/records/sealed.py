"""Views that a program reads again: JSON with its own checksum, for they may be torn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pbtnas.records.envelope import canonical, digest


def seal(core: Mapping[str, Any]) -> bytes:
    """The content of such a view."""
    return canonical({"core": core, "sha256": digest(core)}) + b"\n"


def unseal(data: bytes) -> Mapping[str, Any] | None:
    """What was sealed; None if the bytes are not what was written."""
    try:
        written = json.loads(data)
        core: Mapping[str, Any] = written["core"]
        return core if written["sha256"] == digest(core) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
