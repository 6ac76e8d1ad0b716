"""What a run may spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def granted_epochs(search: Mapping[str, Any]) -> int:
    """Network-epochs that the section `search` of a configuration grants the whole run.

    A run whose members failed for good spends less: that is its loss, not another budget.
    """
    first = search["first_epochs"] or search["epochs"]
    rounds: int = first + (search["generations"] - 1) * search["epochs"]
    return rounds * int(search["population"])
