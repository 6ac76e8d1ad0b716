"""Breaks the training process: seeds, threads, snapshots, and whose fault a failure is."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TRAINER = "pbtnas/training/trainer.py"
_SNAPSHOTS = "pbtnas/training/snapshots.py"
_DETERMINISM = "pbtnas/determinism.py"
_TRAINING = "tests/training/test_jobs.py"
_SAVED = "tests/training/test_snapshots.py"
_LIMITS = "tests/test_determinism.py"

MUTANTS = (
    Mutant(
        "old-snapshots-deleted-first",
        _SNAPSHOTS,
        '    private = directory / f".tmp-{os.getpid()}"\n',
        '    private = directory / f".tmp-{os.getpid()}"\n'
        "    for path in older:\n        path.unlink()\n",
        (_SAVED,),
    ),
    Mutant(
        "snapshot-not-synced",
        _SNAPSHOTS,
        "        _make_durable(private)\n",
        "",
        (_SAVED,),
    ),
    Mutant(
        "name-of-a-snapshot-not-synced",
        _SNAPSHOTS,
        "        _make_durable(directory)\n",
        "",
        (_SAVED,),
    ),
    Mutant(
        "snapshot-of-the-last-attempt",
        _SNAPSHOTS,
        "key=lambda each: (each[2], str(each[0]))",
        "key=lambda each: str(each[0])",
        (_SAVED,),
    ),
    Mutant(
        "generators-not-restored",
        _SNAPSHOTS,
        "    restore_global_rngs(tensors, python, device)\n",
        "",
        (_SAVED,),
    ),
    Mutant(
        "training-repeated-after-its-last-snapshot",
        _TRAINER,
        "context.done, context.trained = snapshot.done, snapshot.trained",
        "context.done = snapshot.done",
        (_TRAINING,),
    ),
    Mutant(
        "damaged-snapshot-ends-the-attempt",
        _TRAINER,
        """\
                unusable.add(path)  # it would only have saved work
                snapshots.remove(path)
""",
        "                raise\n",
        (_TRAINING,),
    ),
    Mutant(
        "threads-of-a-job-ignored",
        _TRAINER,
        "            use_threads(job.threads)\n",
        "",
        (_TRAINING,),
    ),
    Mutant(
        "evaluation-in-the-search-not-seeded",
        _TRAINER,
        '        seed_everything(derive(job.seed, "evaluate"), self._device)\n',
        "",
        (_TRAINING,),
    ),
    Mutant(
        "training-not-seeded",
        _TRAINER,
        "        seed_everything(job.seed, self._device)\n",
        "",
        (_TRAINING,),
    ),
    Mutant(
        "not-a-number-is-a-result",
        _TRAINER,
        "if not math.isfinite(score):",
        "if False:",
        (_TRAINING,),
    ),
    Mutant(
        "full-disk-counted-against-the-job",
        _TRAINER,
        "if error.errno in UNWRITABLE:",
        "if False:",
        ("tests/training/test_trainer.py",),
    ),
    Mutant(
        "failed-download-taken-for-a-misfit",
        _TRAINER,
        "if isinstance(error, TaskError | ConfigError | OtherSpace | OtherCode | UnfitProcessor):",
        "if isinstance(error, PbtnasError):",
        ("tests/training/test_trainer.py",),
    ),
    Mutant(
        "some-failures-taken-for-a-mistake-of-the-user",
        "pbtnas/records/causes.py",
        "if generation > 0 or len(kinds) != 1 or len(whole) < len(found):",
        "if len(kinds) != 1:",
        ("tests/protocol/test_generations.py",),
    ),
    Mutant(
        "healthy-file-put-aside",
        _TRAINER,
        'return {"failure": "input", "text": str(error), "damaged": None}',
        'return {"failure": "input", "text": str(error), "damaged": job.inputs[0]}',
        (_TRAINING,),
    ),
    Mutant(
        "training-with-other-products",
        _TRAINER,
        "if check_products(files, place.run, place.products):",
        "if True:",
        (_TRAINING,),
    ),
    Mutant(
        "wrong-file-blamed",
        "pbtnas/checkpoints/one_pass.py",
        'raise CorruptCheckpoint(self.path, f"{self._algorithm} digest',
        'raise CorruptCheckpoint(self.path.parent, f"{self._algorithm} digest',
        (_TRAINING,),
    ),
    Mutant(
        "threads-of-the-search-ignored",
        _DETERMINISM,
        "            torch.set_num_threads(threads)\n            refuse_nondeterminism()\n",
        "            refuse_nondeterminism()\n",
        (_LIMITS,),
        "threadpoolctl limits the OpenMP library that torch computes with; torch's own setting "
        "matters where it has another",
    ),
    Mutant(
        "nondeterministic-kernels-allowed",
        _DETERMINISM,
        "            refuse_nondeterminism()\n            yield\n",
        "            yield\n",
        (_LIMITS,),
    ),
    Mutant(
        "threads-of-numpy-ignored",
        _DETERMINISM,
        "    _libraries(len(sys.modules)).limit(limits=threads)\n    torch",
        "    torch",
        (_LIMITS,),
    ),
    Mutant(
        "preparation-with-any-threads",
        "pbtnas/tasks/preparing.py",
        "    with as_in_the_search(threads):\n",
        "    if True:\n",
        ("tests/tasks/test_preparing.py",),
    ),
    Mutant(
        "preparation-not-seeded",
        "pbtnas/tasks/preparing.py",
        '        seed_everything(derive(0, "prepare"), "cuda")',
        "        pass",
        ("tests/tasks/test_preparing.py",),
    ),
    Mutant(
        "task-prepared-with-other-products-shared",
        "pbtnas/training/prepared_tasks.py",
        "            if known.products == found:\n",
        "            if known.ready:\n",
        ("tests/training/test_prepared_tasks.py",),
    ),
    Mutant(
        "task-prepared-before-it-is-compared",
        "pbtnas/training/prepared_tasks.py",
        "        fits(alike[0].ready.task if fresh is None else fresh)\n",
        "",
        ("tests/training/test_prepared_tasks.py",),
    ),
    Mutant(
        "job-begun-with-code-of-before",
        _TRAINER,
        "                place.in_force.check()\n",
        "                pass\n",
        ("tests/training/test_trainer.py",),
    ),
    Mutant(
        "code-of-a-file-that-was-edited-since",
        "pbtnas/training/prepared_tasks.py",
        "        if changes(self._codes.setdefault(section.name, code), code):\n",
        "        if changes(code, code):\n",
        ("tests/training/test_prepared_tasks.py",),
    ),
)
