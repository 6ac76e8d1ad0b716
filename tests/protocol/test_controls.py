"""Giving a control: what an operator's command does on a disk that is full or cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pbtnas.protocol.controls import give
from pbtnas.protocol.operations import (
    AskedToStop,
    Get,
    List,
    Published,
    Put,
    Sleep,
    Stopping,
    Unreadable,
)
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode

PAUSE = {"action": "pause"}


def record(nonce: str) -> bytes:
    return encode(Record("control", "r", PAUSE, {}, nonce), paths.control(1))


def carry_out(replies: dict[type, Iterator[Any]], asked: list[Any]) -> int:
    """Give a pause to a directory that replies so."""
    steps, reply = give("r", PAUSE, {}, "mine"), None
    while True:
        try:
            operation = steps.send(reply)
        except StopIteration as stop:
            return int(stop.value)
        asked.append(operation)
        reply = next(replies[type(operation)])


def test_who_is_interrupted_while_the_disk_is_full_has_given_nothing() -> None:
    """A command that waits for a full disk can be stopped, and says so to who runs it."""
    replies = {
        List: iter([set()]),
        Put: iter([Published.ERROR] * 2),
        Stopping: iter([False, True]),
        Sleep: iter([None]),
    }

    with pytest.raises(AskedToStop):
        carry_out(replies, [])


@pytest.mark.parametrize(
    ("there", "number"),
    [
        (record("mine"), 1),
        (record("another's"), 2),
        (None, 2),
        (b"torn", 2),
        (Unreadable("config/control.0001.json: not to be read"), 2),
    ],
)
def test_the_number_of_another_is_left_alone(there: Any, number: int) -> None:
    """Who loses a number takes the next one, unless it was its own: and a control that cannot be
    read is not put aside, for its number is used."""
    asked: list[Any] = []
    replies = {
        List: iter([set()]),
        Put: iter([Published.LOST, Published.WON]),
        Get: iter([there] * 10),
        Sleep: iter([None] * 10),
    }

    assert carry_out(replies, asked) == number
    assert {type(operation) for operation in asked} <= replies.keys()
