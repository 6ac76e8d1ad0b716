"""Reads what operators ask of a run, and publishes it.

One listing of the directory of settings shows all controls, however many processes look; each is
read once.  Numbers are given one after the other, so that one which is missing before others is
there as a rule, and seen late: the order of extensions is not believed until then.  A control that
cannot be used is said once and left out: its number is used, so it is not put aside, and whoever
gave it can give it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import inf
from typing import Any

from pbtnas.protocol.backoff import backoff
from pbtnas.protocol.operations import (
    Get,
    List,
    Now,
    Published,
    Put,
    Say,
    Sleep,
    Steps,
    Unreadable,
    persist,
)
from pbtnas.records import paths
from pbtnas.records.controls import Control, Steering, control_of
from pbtnas.records.envelope import CorruptRecord, Record, decode, encode
from pbtnas.records.names import Name

STALE_S = 180.0  # no file system goes on missing a file for so long
TRIES = 3  # looks at a control that is damaged or cannot be read, before it is left out for good


class Controls:
    """Keeps the controls of one run that this process has read.

    Args:
        run: Id of the run.
    """

    def __init__(self, run: str) -> None:
        self.steering = Steering()
        self._run = run
        self._known: dict[int, Control] = {}
        self._failed: dict[int, int] = {}
        self._missed_s: dict[int, float] = {}  # since when, of numbers that others follow
        self._looked_s = float("-inf")

    @property
    def steered(self) -> bool:
        """Whether anything was ever asked of the run, as far as the last look has seen."""
        return bool(self._known or self._failed or self._missed_s)

    def look(self, every_s: float = 0.0) -> Steps[Steering]:
        """What is asked of the run now; by the last look, if that was less than `every_s` ago.

        Costs one listing, and one read for each control that is new.  Raises `ForeignRecord`.
        """
        now_s = yield from Now()
        if now_s - self._looked_s < every_s:
            return self.steering
        self._looked_s = now_s
        listed = map(paths.control_number, (yield from List(paths.SETTINGS)))
        newest = max((n for n in listed if n is not None), default=0)
        newest = max(newest, *self._known, *self._failed, *self._missed_s, 0)
        for number in range(1, newest + 1):
            if not self._is_settled(number, now_s):
                yield from self._read(number, now_s)
        settled = next((n - 1 for n in range(1, newest + 1) if not self._is_settled(n, now_s)), inf)
        self.steering = Steering(tuple(c for _, c in sorted(self._known.items())), settled)
        return self.steering

    def _is_settled(self, number: int, now_s: float) -> bool:
        """Whether nothing more is to be learned of a number."""
        if number in self._known or self._failed.get(number, 0) >= TRIES:
            return True
        return now_s - self._missed_s.get(number, now_s) >= STALE_S

    def _read(self, number: int, now_s: float) -> Steps[None]:
        name = paths.control(number)
        data = yield from Get(name)
        if data is None:
            self._missed_s.setdefault(number, now_s)
            return
        try:
            if not isinstance(data, bytes):
                raise CorruptRecord(data.text)
            record = decode(data, name, kind="control", run=self._run)
            self._known[number] = control_of(number, record, name)
        except CorruptRecord as error:
            self._failed[number] = self._failed.get(number, 0) + 1
            if self._failed[number] == TRIES:
                yield from Say(f"{error}; not obeyed, give the command again")


def give(run: str, core: Mapping[str, Any], meta: Mapping[str, Any], nonce: str) -> Steps[int]:
    """Publish a control once, under the first number that is free; returns the number.

    Raises `AskedToStop` when this process is to stop while the disk refuses.
    """
    listed = map(paths.control_number, (yield from List(paths.SETTINGS)))
    number = max((n for n in listed if n is not None), default=0) + 1
    while True:
        name = paths.control(number)
        record = Record("control", run, core, meta, nonce)
        if (yield from persist(Put(name, encode(record, name)))) is Published.WON:
            return number
        # After an error the name may be there nevertheless: a control must not be given twice.
        if (yield from _nonce(name, run)) == nonce:
            return number
        number += 1


def _nonce(name: Name, run: str) -> Steps[str]:
    """The nonce of a control; "" where it cannot be had.  It is not put aside then, as other
    records are: its number is used."""
    data = yield from Get(name)
    for rest_s in islice(backoff(), TRIES):
        if not isinstance(data, Unreadable):
            break
        yield from Sleep(rest_s)
        data = yield from Get(name)
    if not isinstance(data, bytes):
        return ""
    try:
        return decode(data, name, kind="control", run=run).nonce
    except CorruptRecord:
        return ""
