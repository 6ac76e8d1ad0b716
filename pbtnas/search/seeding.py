"""Seeds as hashes: order, host and time never matter, and no two runs share one."""

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
    """A random stream of its own for one purpose; the caller consumes it alone."""
    return random.Random(derive(run_seed, purpose, *parts))
