"""Breaks what processes do to each other: hangs, signals, descendants, and files left behind."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TRAINING = "pbtnas/engine/training_process.py"
_OWN_TIME = "pbtnas/engine/own_time.py"
_SIGNALS = "pbtnas/engine/signals.py"
_PRIVATE = "pbtnas/store/private_files.py"
_HANGS = "tests/engine/test_own_time.py"
_ASKED = "tests/engine/test_signals.py"
_GUARDED = "tests/engine/test_guard.py::test_a_killed_worker_takes_everything_along"
_CLEARED = "tests/store/test_private_files.py"

MUTANTS = (
    Mutant(
        "hang-clock-counts-at-the-disk",
        _TRAINING,
        "        if self._at_disk:\n            return at_disk(self._at_disk)\n",
        "",
        (f"{_HANGS}::test_what_waits_for_the_disk_does_not_hang",),
    ),
    Mutant(
        "hang-clock-counts-while-stopped",
        _OWN_TIME,
        "        if not hindered:\n",
        "        if True:\n",
        (f"{_HANGS}::test_what_is_stopped_does_not_hang",),
    ),
    Mutant(
        "hang-clock-counts-without-a-processor",
        _OWN_TIME,
        'if process.state == "R":',
        "if False:",
        (f"{_HANGS}::test_who_gets_no_processor_does_not_hang",),
    ),
    Mutant(
        "hang-clock-counts-while-nobody-looks",
        _OWN_TIME,
        "min(now_s - self._looked_s, MOST_S)",
        "now_s - self._looked_s",
        (f"{_HANGS}::test_time_in_which_nobody_looked_does_not_count",),
    ),
    Mutant(
        "second-signal-at-once-ends-at-once",
        _SIGNALS,
        "elif now_s - self._first_s > TOGETHER_S and number != PASSED_ON:",
        "elif number != PASSED_ON:",
        (_ASKED,),
    ),
    Mutant(
        "signal-that-is-passed-on-counts-again",
        _SIGNALS,
        "elif now_s - self._first_s > TOGETHER_S and number != PASSED_ON:",
        "elif now_s - self._first_s > TOGETHER_S:",
        (_ASKED,),
    ),
    Mutant(
        "guard-leaves-descendants",
        "pbtnas/engine/descendants.py",
        "below = below_this_process() | (children - ended.keys())",
        "below = children - ended.keys()",
        (_GUARDED,),
    ),
    Mutant(
        "guard-does-not-adopt-orphans",
        "pbtnas/engine/guard.py",
        "    adopt_orphans()\n",
        "",
        (_GUARDED,),
    ),
    Mutant(
        "private-files-of-a-live-attempt-deleted",
        _PRIVATE,
        "for number in range(1, attempt):",
        "for number in range(1, attempt + 1):",
        (_CLEARED,),
    ),
    Mutant(
        "private-files-of-another-worker-deleted",
        _PRIVATE,
        "lambda rest: rest == job)",
        "lambda rest: rest.endswith(job.rpartition('-')[2]))",
        (_CLEARED,),
    ),
    Mutant(
        "private-files-of-results-stay",
        "pbtnas/store/posix.py",
        '("claims", "results", "births")',
        '("claims", "births")',
        ("tests/store/test_posix.py::test_private_files_go_with_their_generation",),
    ),
    Mutant(
        "trash-falls-behind",
        "pbtnas/store/trash.py",
        "step_s = min(PAUSE_S, self._within_s / max(1, len(waiting)))",
        "step_s = PAUSE_S",
        ("tests/store/test_trash.py",),
    ),
)
