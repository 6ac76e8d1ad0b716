"""Breaks rankings by shared weights: what is undefined, tied or without a score, and its truth."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_RANKS = "pbtnas/analysis/ranks.py"
_INSTANCES = "pbtnas/analysis/instances.py"
_TRUTH = "pbtnas/data/ground_truth.py"
_PARTITION = "pbtnas/search/partition.py"
_METRICS = "tests/analysis/test_ranks.py"
_READINGS = "tests/analysis/test_instances.py"
_TABLES = "tests/data/test_ground_truth.py"
_GROUPS = "tests/search/test_partition.py"

MUTANTS = (
    Mutant(
        "undefined-tau-is-zero",
        _RANKS,
        "np.where(untied == 0, np.nan, untied)",
        "np.maximum(untied, 1)",
        (_METRICS,),
    ),
    Mutant(
        "ties-count-as-discordant",
        _RANKS,
        "(a > b).astype(np.float64) - (a < b)",
        "(a > b).astype(np.float64) - (a <= b)",
        (_METRICS,),
    ),
    Mutant(
        "no-score-ranks-first",
        _RANKS,
        "np.where(np.isnan(numbers), -np.inf, numbers)",
        "np.where(np.isnan(numbers), np.inf, numbers)",
        (_METRICS,),
    ),
    Mutant(
        "truth-with-holes",
        _RANKS,
        "if not np.isfinite(numbers).all():",
        "if False:",
        (_METRICS,),
    ),
    Mutant(
        "sample-deviation-of-taus",
        _INSTANCES,
        "float(taus.std())",
        "float(taus.std(ddof=1))",
        (_READINGS,),
    ),
    Mutant(
        "an-instance-agrees-with-its-copy",
        _INSTANCES,
        "counts @ (taus - np.diag(np.diag(taus)))",
        "counts @ taus",
        (_READINGS,),
    ),
    Mutant(
        "any-table-is-the-published-one",
        _TRUTH,
        "if (found := hashlib.sha256(content).hexdigest()) != published.sha256:",
        "if not (found := hashlib.sha256(content).hexdigest()):",
        (_TABLES,),
    ),
    Mutant(
        "percentages-are-fractions",
        _TRUTH,
        "if not 0 <= value <= 1:",
        "if not 0 <= value <= 100:",
        (_TABLES,),
    ),
    Mutant(
        "groups-of-another-generator",
        _PARTITION,
        "rng = _numpy_generator(seed)",
        "rng = random.Random(seed)",
        (_GROUPS,),
    ),
)
