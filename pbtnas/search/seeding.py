"""Derives seeds by hashing, independent of order, host and time."""

from __future__ import annotations

import hashlib
import random


def derive(run_seed: int, purpose: str, *parts: int) -> int:
    """A 63-bit seed for one purpose, e.g. `derive(seed, "job", generation, member)`.

    SHA-256 over the parts: different purposes, generations and members are independent, and
    run seeds that differ by one have nothing in common.
    """
    text = "/".join([str(run_seed), purpose, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(run_seed: int, purpose: str, *parts: int) -> random.Random:
    """A separate random stream for one purpose, consumed by the caller alone."""
    return random.Random(derive(run_seed, purpose, *parts))
