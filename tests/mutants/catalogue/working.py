"""Breaks the worker: its attempts, what it publishes, and how it recovers lost checkpoints."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_WORKER = "pbtnas/protocol/worker.py"
_ATTEMPTS = "pbtnas/protocol/attempts.py"
_OPERATIONS = "pbtnas/protocol/operations.py"
_RECOVERY = "pbtnas/protocol/recovery.py"
_WORKS = "tests/protocol/test_one_job.py"
_SICK = "tests/simulation/test_simulation.py::test_a_sick_machine_costs_time_and_no_member"
_REPAIRS = "tests/protocol/test_recovery.py"

MUTANTS = (
    Mutant(
        "result-before-checkpoint",
        _WORKER,
        "        if trained.file is not None and result.checkpoint is not None:\n",
        """\
        yield from self._put_result(job, result, trained.meta)
        if trained.file is not None and result.checkpoint is not None:
""",
        (_WORKS,),
    ),
    Mutant(
        "write-errors-ignored",
        _OPERATIONS,
        "if reply is not Published.ERROR:",
        "if reply is not None:",
        (_WORKS,),
    ),
    Mutant(
        "checkpoint-published-once-at-most",
        _OPERATIONS,
        "reply = yield from persist(PutBlob(source, name), while_waiting=while_waiting)",
        "reply = yield from PutBlob(source, name)",
        (_WORKS,),
    ),
    Mutant(
        "stop-ignored-on-a-full-disk",
        _OPERATIONS,
        "        if (yield from Stopping()):\n            raise AskedToStop\n"
        "        yield from while_waiting()",
        "        yield from while_waiting()",
        ("tests/engine/test_patience.py",),
    ),
    Mutant(
        "worker-does-not-sync-the-manifest",
        _WORKER,
        "            yield from persist(Sync(paths.generation(newest)))\n",
        "",
        (_WORKS,),
    ),
    Mutant(
        "no-look-for-a-result-after-the-claim",
        _WORKER,
        "there = (yield from content(result, once=number == 1)) is not None",
        "there = False",
        (_WORKS,),
    ),
    Mutant(
        "infra-counted-against-a-job",
        _ATTEMPTS,
        "return self not in (Failure.INFRA, Failure.INPUT, Failure.TASK)",
        "return self not in (Failure.INPUT, Failure.TASK)",
        (_WORKS,),
    ),
    Mutant(
        "missing-inputs-counted-against-a-job",
        _ATTEMPTS,
        "return self not in (Failure.INFRA, Failure.INPUT, Failure.TASK)",
        "return self not in (Failure.INFRA, Failure.TASK)",
        (_WORKS,),
    ),
    Mutant(
        "one-failure-is-enough",
        _WORKER,
        "if times < self._pace.attempts:",
        "if not failures:",
        (_WORKS,),
    ),
    Mutant(
        "never-given-up",
        _WORKER,
        "if times < self._pace.attempts:",
        "if times <= 10 * self._pace.attempts:",
        (_WORKS,),
    ),
    Mutant(
        "failed-jobs-wait-to-be-recorded",
        _WORKER,
        "        if event.failure.counted:\n",
        "        if False:\n",
        (
            "tests/system/test_processes.py::"
            "test_a_hopeless_job_is_recorded_as_failed_and_the_search_goes_on",
        ),
    ),
    Mutant(
        "sick-machines-go-on",
        "pbtnas/protocol/affinity.py",
        "return self._done_elsewhere >= DONE_ELSEWHERE",
        "return False",
        (_WORKS,),
    ),
    Mutant(
        "failed-jobs-stay-on-their-machine",
        "pbtnas/protocol/affinity.py",
        "        if self._host not in tried:\n            return False\n",
        "        if self._host not in tried or tried:\n            return False\n",
        (_SICK,),
    ),
    Mutant(
        "no-heartbeats",
        _ATTEMPTS,
        """\
                yield from WriteHeartbeat(paths.beat(attempt.slot, attempt.number), content)
                if not attempt.repair:
""",
        "                if not attempt.repair:\n",
        (_WORKS,),
    ),
    Mutant(
        "useless-training-goes-on",
        _ATTEMPTS,
        "useless = isinstance((yield from Get(result)), bytes)",
        "useless = False",
        (_WORKS,),
    ),
    Mutant(
        "repairs-are-called-useless",
        _ATTEMPTS,
        "if not attempt.repair:",
        "if True:",
        (_REPAIRS,),
    ),
    Mutant(
        "damaged-input-stays",
        _ATTEMPTS,
        "        if event.damaged is not None:\n"
        "            yield from Quarantine(paths.checkpoint(attempt.job.generation - 1, event.damaged))"
        "\n",
        "",
        (_WORKS,),
    ),
    Mutant(
        "repair-publishes-other-bits",
        _RECOVERY,
        "if event.result.checkpoint == checkpoint and event.file is not None:",
        "if event.file is not None:",
        (_REPAIRS,),
    ),
    Mutant(
        "repair-does-not-go-back",
        _RECOVERY,
        "            if event.failure is Failure.INPUT:\n"
        "                yield from self.generation(job.generation - 1)\n",
        "",
        (_REPAIRS,),
    ),
    Mutant(
        "repair-of-one-generation-only",
        _RECOVERY,
        """\
        if not (yield from self._selected(newest.generation - 1)):
            yield from self.generation(newest.generation - 1)  # its selection is lost
""",
        "",
        (_REPAIRS,),
        "a worker that misses an input restores the generation before, too (`Worker.attend`)",
    ),
    Mutant(
        "repair-without-claim",
        _RECOVERY,
        "        if number is None:\n            return False\n",
        "        number = number or 1\n",
        (_REPAIRS,),
    ),
)
