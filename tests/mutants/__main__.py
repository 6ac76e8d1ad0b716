"""Tries mutants: python -m tests.mutants [NAME ...] [--jobs 2]

Ends with 1 when one that tests must notice survives, or does not fit the code any more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Outdated
from tests.mutants.place import Place, Verdict


class Trial:
    """Tries mutants in a few copies of the repository at the same time."""

    def __init__(self, directory: Path, copies: int) -> None:
        self._free: SimpleQueue[Place] = SimpleQueue()
        for number in range(copies):
            (directory / str(number)).mkdir()
            self._free.put(Place(directory / str(number)))
        self._printing = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[Place]:
        place = self._free.get()
        try:
            yield place
        finally:
            self._free.put(place)

    def of(self, mutant: Mutant) -> Verdict | Outdated:
        """Try one, and tell."""
        try:
            with self.place() as place:
                verdict = place.try_out(mutant)
        except Outdated as error:
            self._tell("outdated", mutant.name, str(error))
            return error
        how = "caught" if verdict.caught else "survived"
        self._tell(how, mutant.name, f"{verdict.seconds:5.1f} s  {verdict.by}")
        return verdict

    def _tell(self, how: str, name: str, text: str) -> None:
        with self._printing:
            print(f"{how:9} {name:48} {text}".rstrip(), flush=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all if none is given")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default 2)")
    given = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in MUTANTS}
    for name in given.names:
        if name not in known:
            parser.error(f"there is no mutant {name!r}; there are {', '.join(known)}")
    mutants = [known[name] for name in given.names or known]
    with tempfile.TemporaryDirectory(prefix="pbtnas-mutants-") as directory:
        trial = Trial(Path(directory), given.jobs)
        tests = {test for mutant in mutants for test in mutant.tests}
        with trial.place() as place:
            failure = place.tests_pass(tests, given.jobs)
        if failure:
            print(f"{failure}\nThe tests fail without any mutant.")
            return 1
        with ThreadPoolExecutor(given.jobs) as pool:
            found = list(pool.map(trial.of, mutants))
    return summary(found)


def summary(found: Sequence[Verdict | Outdated]) -> int:
    """Print what became of all; the exit code."""
    outdated = [error for error in found if isinstance(error, Outdated)]
    verdicts = [verdict for verdict in found if isinstance(verdict, Verdict)]
    caught = [verdict for verdict in verdicts if verdict.caught]
    survivors = [verdict.mutant for verdict in verdicts if not verdict.caught]
    unnoticed = [mutant for mutant in survivors if not mutant.harmless]
    print(f"\ncaught {len(caught)} of {len(found)}")
    for mutant in survivors:
        print(f"survived  {mutant.name}: {mutant.harmless or 'NO TEST NOTICED IT'}")
    for verdict in caught:
        if verdict.mutant.harmless:
            print(f"{verdict.mutant.name} is called harmless, but a test notices it")
    for error in outdated:
        print(f"outdated  {error}")
    return 1 if unnoticed or outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
