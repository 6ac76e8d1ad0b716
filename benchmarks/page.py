"""What the page of `pbtnas dashboard` costs: processor time of its data, for a long run.

    python -m benchmarks.page

The first look reads two records a generation; the following ones read what is new.  The views are
written before anything is measured, as a coordinator has done by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.made_history import make_run
from pbtnas.dashboard.followed_run import FollowedRun
from pbtnas.dashboard.member import member_data
from pbtnas.engine.views import write_views
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore

MEMBERS, GENERATIONS = 100, 100


def main() -> None:
    with TemporaryDirectory() as directory:
        root = Path(directory) / "run"
        make_run(root, MEMBERS, GENERATIONS)
        with PosixStore(root, "views", primitive="link") as store:
            write_views(store)
        last = root / paths.selection(GENERATIONS - 2)
        newest = root / paths.manifest(GENERATIONS - 1)
        kept = last.read_bytes(), newest.read_bytes()
        last.unlink()
        newest.unlink()
        run = FollowedRun(root)
        print(f"{MEMBERS} members, {GENERATIONS} generations; seconds of processor time")
        print(f"first page data         {_cost(lambda: _answer(run)):6.3f}")
        print(f"update, nothing new     {_cost(lambda: _answer(run)):6.3f}")
        last.write_bytes(kept[0])
        newest.write_bytes(kept[1])
        print(f"update, a generation    {_cost(lambda: _answer(run)):6.3f}")
        print(f"a member                {_cost(lambda: _member(run)):6.3f}")


def _answer(run: FollowedRun) -> None:
    run.look(now=True)
    run.data("", 0)


def _member(run: FollowedRun) -> None:
    assert run.history is not None, "it was looked at"
    assert member_data(run.history, run.evolution, GENERATIONS - 2, 7) is not None, "he is there"


def _cost(act: Callable[[], None]) -> float:
    begun_s = time.process_time()
    act()
    return time.process_time() - begun_s


if __name__ == "__main__":
    main()
