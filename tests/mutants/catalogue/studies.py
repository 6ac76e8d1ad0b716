"""Breaks studies: which runs are served, when they are over, and what runs take from each other."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_PROTOCOL = "pbtnas/protocol/reuse.py"
_COPY = "pbtnas/study/reuse.py"
_STUDY = "pbtnas/protocol/study.py"
_COORDINATOR = "pbtnas/protocol/study_coordinator.py"
_REUSE = "tests/study/test_reuse.py"
_STUDIES = "tests/simulation/test_studies.py::test_every_run_of_a_study_ends_as_its_search_does_undisturbed"
_ENDS = "tests/protocol/test_study_coordinator.py"

MUTANTS = (
    Mutant(
        "reuse-with-another-configuration",
        _PROTOCOL,
        "if kind is not None and (yield from peer.kind()) == kind:",
        "if kind is not None:",
        (_REUSE,),
    ),
    Mutant(
        "reuse-by-generation-and-member",
        _PROTOCOL,
        "return job in self._manifests[job.generation].jobs",
        "return any(j.member == job.member for j in self._manifests[job.generation].jobs)",
        (_REUSE,),
    ),
    Mutant(
        "reuse-from-another-device",
        _PROTOCOL,
        'return same and record.core["outcome"] != "failed"',
        'return record.core["outcome"] != "failed"',
        (_REUSE,),
    ),
    Mutant(
        "reuse-of-failures",
        _PROTOCOL,
        'return same and record.core["outcome"] != "failed"',
        "return same",
        (_REUSE,),
    ),
    Mutant(
        "reuse-for-repairs",
        _PROTOCOL,
        "        if attempt.repair:\n            return None\n",
        "",
        (_REUSE,),
    ),
    Mutant(
        "nobody-waits-for-an-equal-job",
        _PROTOCOL,
        "if (yield from peer.result(job)) is None and (yield from peer.works_on(job)):",
        "if False:",
        (_REUSE,),
    ),
    Mutant(
        "digest-of-a-copy-not-compared",
        _COPY,
        "OnePass(source, algorithm, copy=copy.write) as file:",
        """\
OnePass(
            source, algorithm, copy=copy.write
        ) as file, suppress(CorruptCheckpoint):""",
        (_REUSE,),
    ),
    Mutant(
        "digest-of-a-linked-checkpoint-not-compared",
        _COPY,
        "with OnePass(target, algorithm) as file:",
        "with OnePass(target, algorithm) as file, suppress(CorruptCheckpoint):",
        (_REUSE,),
    ),
    Mutant(
        "reuse-with-other-products",
        _COPY,
        "return digest([task, run.space, run.hash, found, codes, *counted])",
        "return digest([task, run.space, run.hash, codes, *counted])",
        (_REUSE,),
    ),
    Mutant(
        "reuse-with-other-code",
        _COPY,
        "return digest([task, run.space, run.hash, found, codes, *counted])",
        "return digest([task, run.space, run.hash, found, *counted])",
        (_REUSE,),
    ),
    Mutant(
        "reuse-with-other-defaults",
        _COPY,
        'task = {**run.config["task"], **(run.options or {})}',
        'task = {**run.config["task"]}',
        (_REUSE,),
    ),
    Mutant(
        "copies-linked-under-the-name-of-training",
        _COPY,
        '-reused"',
        '"',
        (_REUSE,),
    ),
    Mutant(
        "broken-run-ends-the-worker",
        _STUDY,
        "            served.over = served.broken = True\n",
        "            raise\n",
        (_STUDIES,),
    ),
    Mutant(
        "study-ends-with-a-run-missing",
        _COORDINATOR,
        "if len(self._outcomes.ended) == len(self._runs):",
        "if self._outcomes.ended:",
        (_ENDS,),
    ),
    Mutant(
        "damaged-end-of-a-run-believed",
        _COORDINATOR,
        "            return False  # its coordinator publishes the same again",
        '            core = {"fingerprint": "unknown"}',
        (_ENDS,),
    ),
    Mutant(
        "all-seeds-open-at-once",
        _COORDINATOR,
        "seeds = [seed for seed in self._seeds if seed in unfinished][: self._open_seeds]",
        "seeds = [seed for seed in self._seeds if seed in unfinished]",
        (_ENDS,),
    ),
    Mutant(
        "study-forgets-what-could-not-go-on",
        _COORDINATOR,
        'self._known_ends = {} if known is None else known.core["runs"]',
        "self._known_ends = {}",
        (_ENDS,),
    ),
)
