"""Breaks the coordinator: the chain, what it syncs, adopts, discards and restores."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_COORDINATOR = "pbtnas/protocol/coordinator.py"
_CHILDREN = "pbtnas/protocol/children.py"
_GENERATIONS = "pbtnas/protocol/generations.py"
_RETENTION = "pbtnas/protocol/retention.py"
_SUSPICION = "pbtnas/protocol/suspicion.py"
_IDLE = "tests/protocol/test_idle.py"
_CHAIN = "tests/protocol/test_coordinator.py"
_PURE = "tests/protocol/test_generations.py"
_MADE = "tests/protocol/test_children.py"
_KEPT = "tests/protocol/test_retention.py"
_STEERED = "tests/cli/test_control.py"
_READ = "tests/protocol/test_newest_generation.py"

MUTANTS = (
    Mutant(
        "birth-before-overlay",
        _CHILDREN,
        """\
            if not (yield from publish_checkpoint(mixed.file, overlay)):
                return None
            child = Child(birth.member, overlay=mixed.digest, base=mix.base_checkpoint)
            made = self._new_record("birth", child.to_json(), {"origins": mixed.origins})
            yield from persist(Put(name, encode(made, name), grouped=True))
""",
        """\
            child = Child(birth.member, overlay=mixed.digest, base=mix.base_checkpoint)
            made = self._new_record("birth", child.to_json(), {"origins": mixed.origins})
            yield from persist(Put(name, encode(made, name), grouped=True))
            if not (yield from publish_checkpoint(mixed.file, overlay)):
                return None
""",
        (_CHAIN,),
    ),
    Mutant(
        "birth-not-adopted",
        _CHILDREN,
        'record = yield from adopt(name, "birth", self._run)',
        "record = made",
        (_MADE,),
    ),
    Mutant(
        "overlay-restored-with-other-bits",
        _CHILDREN,
        "if mixed is not None and mixed.digest == job.inputs[0]:",
        "if mixed is not None:",
        (_MADE,),
    ),
    Mutant(
        "overlays-not-restored",
        _COORDINATOR,
        """\
        for recent in self._recent:
            yield from self._children_maker.restore_overlays(recent.jobs)
""",
        "",
        (_CHAIN,),
    ),
    Mutant(
        "selection-not-adopted",
        _COORDINATOR,
        'record = yield from adopt(name, "selection", self._run)',
        'record = self._record("selection", selected.to_json())',
        (_CHAIN,),
    ),
    Mutant(
        "manifest-not-adopted",
        _COORDINATOR,
        """\
            record = yield from adopt(name, "manifest", self._run)
            if record is not None:
                self._know(manifest.generation, record, name)
                return Manifest.from_json(record.core)
""",
        "            return manifest\n",
        (_CHAIN,),
    ),
    Mutant(
        "records-of-kept-generations-not-restored",
        _COORDINATOR,
        "for known in self._known.values():",
        "for known in ():",
        ("tests/store/test_fsck.py::test_a_selection_lost_while_the_run_goes_on_is_made_again",),
    ),
    Mutant(
        "older-records-not-restored",
        _COORDINATOR,
        "            if not line:\n                yield from self._restore_records(manifest)\n",
        "",
        (
            "tests/store/test_fsck.py::"
            "test_a_record_lost_while_the_best_member_is_computed_again_is_made_again",
        ),
    ),
    Mutant(
        "end-not-adopted",
        _COORDINATOR,
        'final = yield from adopt(name, "final", self._run)',
        'final = self._record("final", core)',
        (_CHAIN,),
    ),
    Mutant(
        "results-not-synced",
        _COORDINATOR,
        "            yield from persist(Sync(paths.results(generation)))\n",
        "",
        (_CHAIN,),
    ),
    Mutant(
        "selection-not-synced",
        _COORDINATOR,
        "            yield from persist(Sync(paths.generation(generation)))\n            children",
        "            children",
        (_CHAIN,),
    ),
    Mutant(
        "births-not-synced",
        _COORDINATOR,
        "        yield from persist(Sync(paths.births(generation)))\n",
        "",
        (_CHAIN,),
    ),
    Mutant(
        "origin-not-checked",
        _COORDINATOR,
        "if manifest.previous != first.previous:",
        "if False:",
        (_CHAIN,),
    ),
    Mutant(
        "products-of-the-run-not-checked",
        _COORDINATOR,
        "if other is not None:",
        "if False:",
        (_CHAIN,),
    ),
    Mutant(
        "selection-of-another-manifest-accepted",
        _COORDINATOR,
        'if selected.manifest != Record("manifest", "", manifest.to_json()).digest:',
        "if False:",
        (_CHAIN,),
    ),
    Mutant(
        "manifest-after-another-selection-accepted",
        _COORDINATOR,
        "if manifest.previous != previous:",
        "if False:",
        (_CHAIN,),
    ),
    Mutant(
        "lost-results-waited-for-for-ever",
        _COORDINATOR,
        "if waited_s > STALE_S:",
        "if False:",
        (_CHAIN,),
    ),
    Mutant(
        "end-before-the-population-is-complete",
        _COORDINATOR,
        "not (yield from self._all_there(manifest, selected))",
        "False",
        (_CHAIN,),
    ),
    Mutant(
        "one-generation-too-few-kept",
        _COORDINATOR,
        "KEPT_GENERATIONS = 2",
        "KEPT_GENERATIONS = 1",
        (_KEPT,),
    ),
    Mutant(
        "one-generation-too-many-kept",
        _COORDINATOR,
        "KEPT_GENERATIONS = 2",
        "KEPT_GENERATIONS = 3",
        (_KEPT,),
    ),
    Mutant(
        "best-ever-discarded",
        _COORDINATOR,
        """\
            yield from Discard(old, kept)
        self._tidied""",
        """\
            yield from Discard(old, frozenset())
        self._tidied""",
        (_KEPT,),
    ),
    Mutant(
        "pinned-discarded",
        _COORDINATOR,
        "return self._retention.retained() | steering.pinned",
        "return self._retention.retained()",
        (_STEERED,),
    ),
    Mutant(
        "later-of-equals-is-best-ever",
        _RETENTION,
        "champion.score <= best.score)",
        "champion.score < best.score)",
        (_KEPT,),
    ),
    Mutant(
        "claims-of-the-dead-never-ended",
        _SUSPICION,
        "yield from self._claims.end(slot, claim.number, core)",
        "pass",
        (_IDLE,),
    ),
    Mutant(
        "heartbeats-looked-at-now-and-then",
        _SUSPICION,
        "LOOK_S = 1.0",
        "LOOK_S = 5.0",
        (_IDLE,),
    ),
    Mutant(
        "manifest-without-who-trained-what",
        "pbtnas/protocol/affinity.py",
        "elif TRAINED_BY in meta:",
        "elif not meta:",
        (_IDLE,),
    ),
    Mutant(
        "dethroned-champions-discarded-for-ever",
        _RETENTION,
        "self._dethroned.clear()",
        "self._dethroned.copy()",
        (_KEPT,),
    ),
    Mutant(
        "dethroned-champions-never-discarded",
        _RETENTION,
        "return sorted(late | set(aged))",
        "return sorted(aged)",
        (_KEPT,),
    ),
    Mutant(
        "those-of-another-architecture-kept",
        _RETENTION,
        "and self._network(job.architecture) == self._network(champion.architecture)",
        "",
        (_KEPT,),
    ),
    Mutant(
        "head-trusted",
        "pbtnas/protocol/reading.py",
        """\
        if isinstance(data, bytes):
            generation, held = hinted, data
""",
        '        generation, held = hinted, b""\n',
        (_READ,),
    ),
    Mutant(
        "damaged-record-stays",
        "pbtnas/protocol/reading.py",
        """\
                yield from Say(f"{error}; put aside, to be computed again")
                yield from persist(Quarantine(name))
""",
        '                yield from Say(f"{error}; put aside, to be computed again")\n',
        ("tests/protocol/test_unreadable.py::test_what_is_damaged_at_both_readings_is_put_aside",),
    ),
    Mutant(
        "overlay-and-base-swapped",
        _GENERATIONS,
        "(child.overlay, child.base)",
        "(child.base, child.overlay)",
        (_PURE,),
    ),
    Mutant(
        "one-seed-for-all-generations",
        _GENERATIONS,
        'derive(search.seed, "job", generation, member)',
        'derive(search.seed, "job", 0, member)',
        (_PURE,),
    ),
    Mutant(
        "seed-of-a-job-not-derived",
        _GENERATIONS,
        'derive(search.seed, "job", generation, member)',
        "search.seed",
        (_PURE,),
    ),
    Mutant(
        "fingerprint-of-the-ranking-alone",
        _GENERATIONS,
        'return digest(["pbtnas", Record("selection", "", selected.to_json()).digest])',
        'return digest(["pbtnas", list(selected.ranking)])',
        (_PURE,),
    ),
    Mutant(
        "first-epochs-always",
        _GENERATIONS,
        "epochs=search.epochs if generation else search.first_epochs,",
        "epochs=search.first_epochs,",
        (_PURE,),
    ),
    Mutant(
        "selection-is-never-skipped",
        _GENERATIONS,
        "if generation in search.skip_selection:",
        "if False:",
        (_PURE,),
    ),
    Mutant(
        "children-of-the-last-generation",
        _GENERATIONS,
        "    if search.last(generation):\n        return ()\n",
        "",
        (_PURE,),
    ),
    Mutant(
        "products-not-compared",
        _GENERATIONS,
        "if started.get(name) != used.get(name):",
        "if False:",
        (_PURE,),
    ),
)
