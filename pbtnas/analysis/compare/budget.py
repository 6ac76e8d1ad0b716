"""The budget of a run, read from its stored configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pbtnas.search import budget

KEYS = ("population", "generations", "epochs", "first_epochs")


def granted_epochs(search: Mapping[str, Any]) -> int:
    """Network-epochs that the stored section `search` grants the whole run."""
    return budget.granted_epochs(**{key: search[key] for key in KEYS})
