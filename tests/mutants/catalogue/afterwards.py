"""Breaks what comes after a search: soups, averages and final evaluations."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SOUPS = "pbtnas/protocol/soups.py"
_PROTOCOL = "pbtnas/protocol/postsearch.py"
_EVALUATOR = "pbtnas/engine/evaluator.py"
_EVALUATION = "pbtnas/engine/evaluation.py"
_AVERAGE = "pbtnas/weights/averaging.py"
_PLAN = "tests/protocol/test_soups.py"
_SHARED = "tests/protocol/test_postsearch.py"
_EVALUATED = "tests/engine/test_evaluator.py"
_AVERAGING = "tests/weights/test_averaging.py"

MUTANTS = (
    Mutant(
        "soup-candidates-by-number",
        _SOUPS,
        "(-candidate.score, candidate.member)",
        "candidate.member",
        (_PLAN,),
    ),
    Mutant(
        "soup-of-other-architectures",
        _SOUPS,
        "if all(architectures[member][i] == best.architecture[i] for i in decisive):",
        "if True:",
        (_PLAN,),
    ),
    Mutant(
        "soup-that-gets-worse",
        _SOUPS,
        "trial.score is not None and trial.score >= score",
        "trial.score is not None",
        (_PLAN,),
    ),
    Mutant(
        "soup-without-equals",
        _SOUPS,
        "trial.score is not None and trial.score >= score",
        "trial.score is not None and trial.score > score",
        (_PLAN,),
    ),
    Mutant(
        "one-seed-for-all-trials",
        _SOUPS,
        'derive(seed, "soup", int(name[:16], 16))',
        'derive(seed, "soup")',
        (_PLAN,),
    ),
    Mutant(
        "trials-are-final-evaluations",
        _SOUPS,
        "final=False",
        "final=True",
        (_PLAN,),
    ),
    Mutant(
        "soup-recorded-before-its-file",
        _PROTOCOL,
        "        if done.file is not None:\n",
        """\
        early = Record(item.kind, self._run, core, done.where, self._claims.new_nonce())
        yield from persist(Put(item.record, encode(early, item.record)))
        if done.file is not None:
""",
        (_SHARED,),
    ),
    Mutant(
        "lost-soup-stays-lost",
        _PROTOCOL,
        'if not (yield from Has(paths.soup_checkpoint(record.core["checkpoint"]))):',
        "if False:",
        (_SHARED,),
    ),
    Mutant(
        "own-outcome-believed-after-a-lost-race",
        _PROTOCOL,
        "        return (yield from self._outcome(item))\n",
        "        return None if done is None else {**item.core, **done.found}\n",
        (_SHARED,),
    ),
    Mutant(
        "final-evaluation-with-the-seed-of-the-search",
        _EVALUATION,
        'seed = derive(run_seed, "final evaluation")',
        "seed = run_seed",
        (_EVALUATED,),
    ),
    Mutant(
        "final-evaluation-as-short-as-in-the-search",
        _EVALUATION,
        "work=Evaluate(mixture, seed, final=True),",
        "work=Evaluate(mixture, seed, final=False),",
        (_EVALUATED,),
    ),
    Mutant(
        "evaluation-does-not-seed",
        _EVALUATOR,
        "        seed_everything(seed, self._device)\n",
        "",
        (_EVALUATED,),
    ),
    Mutant(
        "evaluation-with-any-threads",
        _EVALUATOR,
        "with as_in_the_search(self._config.run.threads):",
        "if True:",
        (_EVALUATED,),
    ),
    Mutant(
        "evaluation-with-other-products",
        _EVALUATOR,
        "            check_products(self.store, self._run.id, used)\n",
        "",
        (_EVALUATED,),
    ),
    Mutant(
        "not-finite-score-is-a-score",
        _EVALUATOR,
        "return (score if math.isfinite(score) else None), finite",
        "return score, finite",
        (_EVALUATED,),
    ),
    Mutant(
        "average-of-one-too-few",
        _AVERAGE,
        "(total / count)",
        "(total / max(1, count - 1))",
        (_AVERAGING,),
    ),
    Mutant(
        "singular-vectors-averaged",
        _AVERAGE,
        'if section == "buffers" and _SINGULAR.fullmatch(name.rpartition(".")[2]):',
        "if False:",
        (_AVERAGING,),
    ),
)
