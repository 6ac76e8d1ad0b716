"""Writes data as JSON that every browser reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_text(data: Any) -> str:
    """Compact JSON; numbers that are not finite, which JSON does not have, become null."""
    return json.dumps(_plain(data), separators=(",", ":"), allow_nan=False)


def _plain(data: Any) -> Any:
    match data:
        case float():
            return data if math.isfinite(data) else None
        case Mapping():
            return {str(key): _plain(value) for key, value in data.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(value) for value in data]
        case str() | int() | None:
            return data
    return str(data)
