"""What a run has to offer, read from its records alone: its best members and its soups."""

from __future__ import annotations

import json

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.records.schema import Champion, Soup
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun, Run


def champions(files: RunReader, run: Run) -> dict[str, Champion]:
    """The best members of a finished run: "best-ever" by score, and "best-last".

    Raises `NotARun` when it is not finished.
    """
    record = files.record(paths.FINAL, "final", run.id)
    if record is None:
        raise NotARun(
            f"{files.root}: the run is not finished yet; `pbtnas status` tells how far it is, and "
            "best-so-far is the name of its best member up to now"
        )
    found = {"best-ever": record.core["best_ever"], "best-last": record.core["best_last"]}
    return {which: Champion.from_json(best) for which, best in found.items() if best}


def best_so_far(files: RunReader) -> Champion:
    """The best member up to now, of a run that may go on.  Its checkpoint is kept while it is that.

    Raises `NotARun` while there is none, `CorruptRecord` when the view of it is damaged.
    """
    data = files.get(paths.BEST)
    if data is None:
        raise NotARun(
            f"{files.root}: there is no best member yet; `pbtnas status` tells how far it is"
        )
    try:
        return Champion.from_json(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptRecord(
            f"{files.root / paths.BEST}: damaged; the coordinator writes it again with the next "
            "generation"
        ) from None


def soups(files: RunReader, run: Run) -> dict[str, Soup]:
    """The soups that were made of a run, by name, e.g. "best-ever-soup"."""
    found = {}
    for leaf in sorted(files.names(paths.SOUPS)):
        which = paths.soup_of(leaf)
        record = files.record(paths.soup(which), "soup", run.id) if which is not None else None
        if which is not None and record is not None:
            found[which] = Soup.from_json(record.core)
    return found
