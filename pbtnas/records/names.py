"""Kinds of strings that must not be mixed up; at run time each is a plain `str`."""

from __future__ import annotations

from typing import NewType

Digest = NewType("Digest", str)
"""Digest of a checkpoint, or of a record, in hexadecimal digits."""

Name = NewType("Name", str)
"""Path of a file or directory, relative to the run directory and with forward slashes."""

Slot = NewType("Slot", str)
"""What can be claimed: the beginning of the names of its claims, heartbeats and ends."""
