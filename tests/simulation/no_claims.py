"""Coordinators that know nothing of one another."""

from __future__ import annotations

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Steps


class NoClaims(Claims):
    """Grants every slot at once and publishes no claim."""

    def take(self, slot: str) -> Steps[int | None]:
        """A number that no claim has."""
        yield from ()
        return 0
