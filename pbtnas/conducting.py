"""What a coordinator asks for besides storage, as data: children, and views for people.

Yielded by `coordinator` and carried out by `coordinator_host` (or by a simulation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.search.births import Birth


@dataclass(frozen=True, slots=True)
class Mix:
    """Make a child's overlay.  Replies `Mixed`, or None if a parent is missing or damaged."""

    generation: int
    birth: Birth
    base: str
    donor: str


@dataclass(frozen=True, slots=True)
class Mixed:
    """A child's overlay in a private file, its digest, and which tensors came from where."""

    file: str
    digest: str
    origins: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Views:
    """Write the views for people (one metrics file a member).  Replies nothing.

    They may lag, and are derived from records alone; after the last generation they are whole.
    """

    final: bool = False
