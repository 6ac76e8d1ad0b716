"""Writes what people look at while a run goes on: the metrics of its members, and its summary.

And it deletes pictures of members, where those of later generations need the room.

Both are made of records, and nothing that decides an outcome reads them.  They are written now and
then in a thread of their own, so that the next selection waits for none of it, and each time only
what is new is read and added: what a look costs does not depend on how many generations are over.
How far the last one came is in the views themselves.  So whoever is killed meanwhile leaves
nothing wrong, and a view that is torn, gone or of another version is made again from the records.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.analysis.history.run import History, metrics_line
from pbtnas.analysis.history.summary import LATEST
from pbtnas.analysis.history.summary_view import stored_summary, to_view
from pbtnas.config.schema import PREVIEWS_MIB
from pbtnas.records import paths
from pbtnas.regular_files import BROKEN
from pbtnas.store.lines import Lines, NoLines
from pbtnas.store.opening import Store, open_files
from pbtnas.store.previews import PreviewRoom
from pbtnas.store.run_directory import open_run

VIEWS_S = 30.0  # at least, between two writings
LEASE_S = 60.0  # where the configuration cannot be read


class Views:
    """Writes the views of a run, in a thread.

    Args:
        store: Run directory.
        report: Called with a sentence when they cannot be written; they are tried again later.
    """

    def __init__(self, store: Store, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report
        self._room = PreviewRoom(store)
        self._closing = Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="views")
        self._running: Future[None] | None = None
        self._asked_s = time.monotonic()

    def write(self, *, final: bool) -> None:
        """Begin to write them if it is time to; if the run is over, write them now.

        Raises what the last writing raised, but for an `OSError`, which it reports.
        """
        now_s = time.monotonic()
        if not final and (now_s - self._asked_s < VIEWS_S or self._busy()):
            return
        self._settle()
        self._asked_s = now_s
        self._running = self._thread.submit(self._write)
        if final:
            self._settle()

    def _write(self) -> None:
        write_views(self._store, self._closing.is_set)
        engine = open_run(self._store.root).config.get("engine", {})
        self._room.trim(float(engine.get("previews_mib", PREVIEWS_MIB)) * (1 << 20))

    def close(self) -> None:
        """Stop after the generation in work; the next coordinator goes on from there."""
        self._closing.set()
        self._thread.shutdown()

    def _busy(self) -> bool:
        return self._running is not None and not self._running.done()

    def _settle(self) -> None:
        """Wait for the last writing, and say what hindered it."""
        running, self._running = self._running, None
        try:
            if running is not None:
                running.result()
        except OSError as error:
            self._report(f"{error.filename or self._store.root}: {error.strerror}")


def write_views(store: Store, stopping: Callable[[], bool] = lambda: False) -> None:
    """Add to the views whatever the records say and they do not."""
    with open_files(store.root) as reader:
        files = RecordFiles(reader)
        history, count = History.beginning(files)
        lease_s = float(history.config.get("engine", {}).get("lease_s", LEASE_S))
        found = stored_summary(files, run=history.run, lease_s=lease_s, generations=count)
        members = range(history.config.get("search", {}).get("population", 0))
        told = {member: _last_told(store, member, count) for member in members}
        summary, before = found, None
        # One earlier than needed: lines name the parents, and the generation before has them.
        first = min([found.generations, *(last + 1 for last in told.values())])
        for number in range(max(0, first - 1), count):
            if stopping():
                break
            known = len(files.problems)
            earlier = () if before is None else (before,)
            generation = read_generation(files, number, history.over(number, count), earlier)
            _add(store, generation, before, told)
            if number == summary.generations and number < count - LATEST:
                summary = summary.after(
                    generation,
                    before,
                    files=files,
                    objectives=history.objectives,
                    lease_s=lease_s,
                    doubtful=len(files.problems) > known,
                )
            files.forget_names()
            before = generation
        if summary is not found:
            store.replace(paths.SUMMARY, to_view(summary, run=history.run, lease_s=lease_s))


def _last_told(store: Store, member: int, count: int) -> int:
    """The last generation of which there is a line about a member; -1 if there is none."""
    name = paths.metrics(member)
    try:
        with store.edited(name) as path, Lines(path) as lines:
            last = lines.last(_generation_of)
        if last is None or last < count:
            return -1 if last is None else last
    except NoLines:
        pass  # written again, as below
    except OSError as error:
        if error.errno not in (*BROKEN, errno.EISDIR):
            raise
    store.replace(name, b"")  # whatever was there
    return -1


def _generation_of(line: bytes) -> int:
    return int(json.loads(line)["generation"])


def _add(
    store: Store, generation: Generation, before: Generation | None, told: dict[int, int]
) -> None:
    """Add the lines about a generation that are missing, and take down which were added."""
    for member, last in told.items():
        line = metrics_line(generation, before, member) if generation.number > last else None
        if line is None:
            continue
        with (
            suppress(NoLines),
            store.edited(paths.metrics(member)) as path,
            Lines(path) as lines,
        ):
            found = lines.last(_generation_of)
            # Whatever else is there now was not there when this began: the next writing sees to it.
            if found == (last if last >= 0 else None):
                lines.add(f"{line}\n".encode())
                told[member] = generation.number
