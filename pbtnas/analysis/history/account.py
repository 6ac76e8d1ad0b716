"""Counts member-steps and their epochs, and how many were taken over from other runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """Member-steps (one member in one generation) that have a result, and their epochs.

    Args:
        steps: Member-steps in all.
        reused: Member-steps taken over from another run.
        epochs: Epochs of all member-steps.
        reused_epochs: Epochs of those taken over.
        trained_s: Seconds spent on training the others, added up.
    """

    steps: int = 0
    reused: int = 0
    epochs: int = 0
    reused_epochs: int = 0
    trained_s: float = 0.0

    def __add__(self, other: Account) -> Account:
        return Account(
            self.steps + other.steps,
            self.reused + other.reused,
            self.epochs + other.epochs,
            self.reused_epochs + other.reused_epochs,
            self.trained_s + other.trained_s,
        )

    def __str__(self) -> str:
        saved = 100 * self.reused_epochs / self.epochs if self.epochs else 0.0
        return (
            f"{self.steps} member-steps: {self.steps - self.reused} trained, {self.reused} reused; "
            f"{saved:.1f} % of {self.epochs} network-epochs saved"
        )


def of_one(epochs: int, meta: Mapping[str, Any]) -> Account:
    """A member-step, from what its result says besides the outcome."""
    if "reused_from" in meta:
        return Account(1, 1, epochs, epochs)
    return Account(1, 0, epochs, 0, float(meta.get("wall_s") or 0.0))
