"""The search that every peer carries out: a population whose "training" sleeps and then counts.

A member is a weight and a rate.  Training adds to the weight, by a number that follows from
generation, member and rate; the score is the weight.  After each generation but the last, the two
worst members become copies of the two best ones, with another rate.  Nothing is random: each
undisturbed search ends with the same population.

Where training is told to take part by the environment:

    TOY_LOG     a file to which every training appends "TIME begin|end GENERATION MEMBER PID"
    TOY_NAN     a directory; the first training of generation 2, member 3 makes a file in it, and
                returns NaN
    TOY_STATES  a directory for the states of members, where a peer leaves that to its user
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

MEMBERS, GENERATIONS, REPLACED, STEP_S = 8, 5, 2, 0.3
NAN_AT = (2, 3)

State = dict[str, float]


def number(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def initial(member: int) -> State:
    """A member of generation 0 before its training."""
    return {"weight": number("weight", member), "rate": number("rate", member)}


def train(generation: int, member: int, state: State) -> tuple[State, float]:
    """The state after a generation of training, and its score."""
    note("begin", generation, member)
    time.sleep(STEP_S)
    note("end", generation, member)
    weight = state["weight"] + state["rate"] * number("step", generation, member)
    score = math.nan if strikes_nan(generation, member) else weight
    return {"weight": weight, "rate": state["rate"]}, score


def explore(rate: float, generation: int, member: int) -> float:
    """The rate of a copy."""
    return rate * (0.8 if number("explore", generation, member) < 0.5 else 1.25)


def parents(scores: Mapping[int, float]) -> dict[int, int]:
    """Whose copy each member becomes: its own, or for the worst that of one of the best."""
    ranking = sorted(scores, key=lambda m: (-_rank(scores[m]), m))
    return {m: m for m in scores} | dict(zip(ranking[-REPLACED:], ranking, strict=False))


def next_state(generation: int, member: int, parent: int, trained: State) -> State:
    """A member's state before the training of the next generation."""
    if parent == member:
        return trained
    return {**trained, "rate": explore(trained["rate"], generation, member)}


def _rank(score: float) -> float:
    return -math.inf if math.isnan(score) else score


def note(event: str, generation: int, member: int) -> None:
    """Append a line to the log, which lies on a disk of its own."""
    fd = os.open(os.environ["TOY_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, f"{time.time():.3f} {event} {generation} {member} {os.getpid()}\n".encode())
    os.close(fd)


def strikes_nan(generation: int, member: int) -> bool:
    """Whether this is the one training that returns NaN."""
    if "TOY_NAN" not in os.environ or (generation, member) != NAN_AT:
        return False
    try:
        (Path(os.environ["TOY_NAN"]) / "struck").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


# -- states as files, where a peer leaves that to its user -----------------------------------------


def _path(generation: int, member: int) -> Path:
    return Path(os.environ["TOY_STATES"]) / f"g{generation}-m{member}.json"


def begin_and_train(generation: int, member: int, parent: int) -> float:
    """Train a member from the file of its parent, write its own file, and return the score."""
    if generation == 0:
        state = initial(member)
    else:
        trained = json.loads(_path(generation - 1, parent).read_text())
        state = next_state(generation - 1, member, parent, trained)
    state, score = train(generation, member, state)
    path = _path(generation, member)
    private = path.with_suffix(f".{os.getpid()}")
    private.write_text(json.dumps(state))
    private.replace(path)
    return score


def outcome() -> str:
    """What the last generation is like, in a few digits."""
    texts = [_path(GENERATIONS - 1, member).read_text() for member in range(MEMBERS)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
