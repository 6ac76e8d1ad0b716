"""Fixtures that others have already."""

from tests.rl.conftest import renderer

__all__ = ["renderer"]
