"""Tries mutants: python -m tests.mutants [NAME ...] [--jobs 2]

Ends with 1 when one that tests must notice survives, or does not fit the code any more.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Outdated
from tests.mutants.place import Place, Verdict


class Trial:
    """Tries mutants in a few copies of the repository at the same time.

    Args:
        places: The copies.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._free: SimpleQueue[Place] = SimpleQueue()
        for place in places:
            self._free.put(place)
        self._printing = threading.Lock()

    def of(self, mutant: Mutant) -> Verdict | Outdated:
        """Try one, and tell."""
        place = self._free.get()
        try:
            verdict = place.try_out(mutant)
        except Outdated as error:
            self._tell("outdated", mutant.name, str(error).partition("\n")[0])
            return error
        finally:
            self._free.put(place)
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="pbtnas-mutants-") as directory:
        places = [Place(Path(directory) / str(number)) for number in range(given.jobs)]
        tests = {test for mutant in mutants for test in mutant.tests}
        print(f"{len(mutants)} mutants; first their tests without any", flush=True)
        failure = places[0].tests_pass(tests, given.jobs)
        if failure:
            print(f"{failure}\nThe tests fail without any mutant.")
            return 1
        with ThreadPoolExecutor(given.jobs) as pool:
            try:
                found = list(pool.map(Trial(places).of, mutants))
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                for place in places:
                    place.end()
                raise
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
