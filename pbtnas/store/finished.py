"""What a run has to offer, read from its records alone: its best members and its soups."""

from __future__ import annotations

import json

from pbtnas.protocol.operations import List
from pbtnas.records import paths
from pbtnas.records.envelope import decode
from pbtnas.records.schema import Champion, Soup
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import NotARun, Run


def champions(store: PosixStore, run: Run) -> dict[str, Champion]:
    """The best members of a finished run: "best-ever" by score, and "best-last".

    Raises `NotARun` when it is not finished.
    """
    data = store.get(paths.FINAL)
    if data is None:
        raise NotARun(
            f"{store.root}: the run is not finished yet; `pbtnas status` tells how far it is, and "
            "best-so-far is the name of its best member up to now"
        )
    core = decode(data, paths.FINAL, kind="final", run=run.id).core
    found = {"best-ever": core["best_ever"], "best-last": core["best_last"]}
    return {which: Champion.from_json(best) for which, best in found.items() if best}


def best_so_far(store: PosixStore) -> Champion:
    """The best member up to now, of a run that may go on.  Its checkpoint is kept while it is that.

    Raises `NotARun` while there is none.
    """
    data = store.get(paths.BEST)
    if data is None:
        raise NotARun(
            f"{store.root}: there is no best member yet; `pbtnas status` tells how far it is"
        )
    return Champion.from_json(json.loads(data))


def soups(store: PosixStore, run: Run) -> dict[str, Soup]:
    """The soups that were made of a run, by name, e.g. "best-ever-soup"."""
    found = {}
    for leaf in sorted(store.execute(List(paths.SOUPS))):
        which = paths.soup_of(leaf)
        data = store.get(paths.soup(which)) if which is not None else None
        if which is not None and data is not None:
            core = decode(data, paths.soup(which), kind="soup", run=run.id).core
            found[which] = Soup.from_json(core)
    return found
