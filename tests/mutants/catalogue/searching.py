"""Breaks what decides: ranking, seeds, algorithms and the arithmetic of mixing."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_POPULATION = "pbtnas/search/population.py"
_ALGORITHMS = "pbtnas/search/algorithms.py"
_EXPLORING = "pbtnas/search/exploring.py"
_SEEDING = "pbtnas/search/seeding.py"
_MIXING = "pbtnas/weights/mixing.py"
_RANKING = "tests/search/test_population.py"
_FRONTS = "tests/search/test_fronts.py"
_ARCHIVE = "tests/search/test_archive.py"
_BIRTHS = "tests/search/test_algorithms.py"
_LADDERS = "pbtnas/search/ladders.py"
_OBJECTIVES = "pbtnas/search/objectives.py"
_RUNGS = "tests/search/test_ladders.py"
_STANDINGS = "tests/search/test_objectives.py"
_MOVES = "tests/search/test_exploring.py"
_SEEDS = "tests/search/test_seeding.py"
_MIXED = "tests/weights/test_mixing.py"

MUTANTS = (
    Mutant(
        "ties-broken-by-the-highest-number",
        _POPULATION,
        "able = sorted(filter(usable, members), key=lambda m: m.number)",
        "able = sorted(filter(usable, members), key=lambda m: -m.number)",
        (_RANKING,),
    ),
    Mutant(
        "ties-not-broken",
        _POPULATION,
        "able = sorted(filter(usable, members), key=lambda m: m.number)",
        "able = list(filter(usable, members))",
        (_RANKING,),
    ),
    Mutant(
        "not-a-number-ranked",
        _POPULATION,
        "unusable = [m for m in members if not usable(m)]",
        "unusable = [m for m in members if m.score is None]",
        (_RANKING,),
    ),
    Mutant(
        "not-a-number-is-a-parent",
        _POPULATION,
        "all(map(math.isfinite, (member.score, *member.objectives)))",
        "all(map(math.isfinite, member.objectives))",
        (_RANKING,),
    ),
    Mutant(
        "objectives-of-a-parent-not-finite",
        _POPULATION,
        "all(map(math.isfinite, (member.score, *member.objectives)))",
        "math.isfinite(member.score)",
        (_FRONTS,),
    ),
    Mutant(
        "outside-of-bounds-among-the-others",
        _POPULATION,
        "within = [m for m in able if not m.outside]",
        "within = able",
        (_FRONTS,),
    ),
    Mutant(
        "equal-points-dominate-each-other",
        "pbtnas/search/fronts.py",
        "return one != other and all(",
        "return all(",
        (_FRONTS,),
    ),
    Mutant(
        "thinned-out-members-return",
        "pbtnas/search/archive.py",
        "if point in left - known",
        "if point in left",
        (_ARCHIVE,),
    ),
    Mutant(
        "archive-of-what-is-dominated",
        "pbtnas/search/archive.py",
        "if old.member.objectives in left",
        "if True",
        (_ARCHIVE,),
    ),
    Mutant(
        "failed-members-stay",
        _ALGORITHMS,
        "max(replaced, failed)",
        "replaced",
        (_BIRTHS,),
    ),
    Mutant(
        "one-parent-too-many",
        _ALGORITHMS,
        "[: selection.parents]",
        "[: selection.parents + 1]",
        (_BIRTHS,),
    ),
    Mutant(
        "worse-parent-is-the-base",
        _ALGORITHMS,
        "i, j = sorted(vacancy.rng.sample(range(len(best)), 2))",
        "j, i = sorted(vacancy.rng.sample(range(len(best)), 2))",
        (_BIRTHS,),
    ),
    Mutant(
        "one-stream-for-all-slots",
        _ALGORITHMS,
        'stream(run_seed, "mix", generation, slot)',
        'stream(run_seed, "mix", generation)',
        (_BIRTHS,),
    ),
    Mutant(
        "one-seed-for-all-births",
        _ALGORITHMS,
        '_Vacancy(slot, best, rng, derive(run_seed, "birth", generation, slot))',
        '_Vacancy(slot, best, rng, derive(run_seed, "birth", generation))',
        (_BIRTHS,),
    ),
    Mutant(
        "shrink-and-perturb-swapped-in-a-birth",
        _ALGORITHMS,
        "        shrink=selection.shrink,\n        perturb=selection.perturb,\n    )\n",
        "        shrink=selection.perturb,\n        perturb=selection.shrink,\n    )\n",
        (_BIRTHS,),
    ),
    Mutant(
        "survivors-explore",
        _EXPLORING,
        "if birth.member == birth.base == birth.donor",
        "if False",
        (_MOVES,),
    ),
    Mutant(
        "all-children-explore-alike",
        _EXPLORING,
        'stream(run_seed, "explore", generation, birth.member)',
        'stream(run_seed, "explore", generation)',
        (_MOVES,),
    ),
    Mutant(
        "a-step-beyond-the-end-comes-back-at-the-other",
        _EXPLORING,
        "min(max(rung + step, 0), count - 1)",
        "(rung + step) % count",
        (_MOVES,),
    ),
    Mutant(
        "resampling-never-hits-the-last-rung",
        _EXPLORING,
        "rng.randrange(count)",
        "rng.randrange(max(1, count - 1))",
        (_MOVES,),
    ),
    Mutant(
        "rungs-of-one-difference-on-every-ladder",
        _LADDERS,
        "exact = low * (high / low) ** share",
        "exact = low + (high - low) * share",
        (_RUNGS,),
    ),
    Mutant(
        "rungs-not-rounded",
        _LADDERS,
        'rounded = float(f"{exact:.{_DIGITS}g}")',
        "rounded = exact",
        (_RUNGS,),
    ),
    Mutant(
        "whole-rungs-are-floats",
        _LADDERS,
        "return round(rounded) if integer else rounded",
        "return float(round(rounded)) if integer else rounded",
        (_RUNGS,),
    ),
    Mutant(
        "upper-end-of-a-ladder-computed",
        _LADDERS,
        "rungs = (low, *between, high)[:steps]",
        "rungs = (low, *between, _between(low, high, 1.0, scale, integer))[:steps]",
        (_RUNGS,),
    ),
    Mutant(
        "equal-rungs-accepted",
        _LADDERS,
        "if not all(below < above",
        "if not all(below <= above",
        (_RUNGS,),
    ),
    Mutant(
        "ladder-without-an-order",
        _LADDERS,
        "return Variable(name, rungs, ordered=True)",
        "return Variable(name, rungs)",
        (_RUNGS,),
    ),
    Mutant(
        "smaller-is-better-not-turned",
        _OBJECTIVES,
        'return value if self.direction == "larger" else -value',
        "return value",
        (_STANDINGS,),
    ),
    Mutant(
        "values-of-a-front-stay-turned",
        _OBJECTIVES,
        "{o.name: o.gain(gain) for o, gain",
        "{o.name: gain for o, gain",
        (_STANDINGS,),
    ),
    Mutant(
        "within-a-bound-is-outside",
        _OBJECTIVES,
        "((self.at_least, -1), (self.at_most, 1))",
        "((self.at_least, 1), (self.at_most, -1))",
        (_STANDINGS,),
    ),
    Mutant(
        "distance-from-a-bound-in-its-own-unit",
        _OBJECTIVES,
        "return abs(value - bound) / (abs(bound) or 1.0)",
        "return abs(value - bound)",
        (_STANDINGS,),
    ),
    Mutant(
        "bound-of-zero-divides",
        _OBJECTIVES,
        "(abs(bound) or 1.0)",
        "abs(bound)",
        (_STANDINGS,),
    ),
    Mutant(
        "only-the-first-bound-counts",
        _OBJECTIVES,
        "sum(objective.outside(value) for objective, value in values)",
        "next(objective.outside(value) for objective, value in values)",
        (_STANDINGS,),
    ),
    Mutant(
        "infinite-objective-is-there",
        _OBJECTIVES,
        "not math.isfinite(numbers.get(o.name, math.nan))",
        "math.isnan(numbers.get(o.name, math.nan))",
        (_STANDINGS,),
    ),
    Mutant(
        "numbers-counted-that-nobody-asks-for",
        _OBJECTIVES,
        "return COUNTED.intersection(objective.name for objective in self.each)",
        "return COUNTED",
        ("tests/tasks/test_costs.py",),
    ),
    Mutant(
        "seed-without-purpose",
        _SEEDING,
        '"/".join([str(run_seed), purpose, *map(str, parts)])',
        '"/".join([str(run_seed), *map(str, parts)])',
        (_SEEDS,),
    ),
    Mutant(
        "seeds-added-up",
        _SEEDING,
        '"/".join([str(run_seed), purpose, *map(str, parts)])',
        '"/".join([purpose, str(run_seed + sum(parts))])',
        (_SEEDS,),
    ),
    Mutant(
        "shrink-and-perturb-swapped",
        _MIXING,
        '("live", birth.shrink, birth.perturb),',
        '("live", birth.perturb, birth.shrink),',
        (_MIXED,),
    ),
    Mutant(
        "estimates-perturbed",
        _MIXING,
        '("buffers", 1.0, 0.0),',
        '("buffers", birth.shrink, birth.perturb),',
        (_MIXED,),
    ),
    Mutant(
        "mixed-in-one-rounding",
        _MIXING,
        "child[i : i + _BLOCK] += noise[i : i + _BLOCK] * perturb",
        "child[i : i + _BLOCK].add_(noise[i : i + _BLOCK], alpha=perturb)",
        (_MIXED,),
    ),
    Mutant(
        "base-perturbed-too",
        _MIXING,
        "            if origin is Origin.DONOR:\n",
        "            if origin in (Origin.DONOR, Origin.BASE):\n",
        (_MIXED,),
    ),
    Mutant(
        "moments-of-donated-weights-kept",
        _MIXING,
        'return live.get(moment.rpartition("/")[0]) is Origin.BASE',
        "return True",
        (_MIXED,),
    ),
    Mutant(
        "other-dtypes-inherited",
        _MIXING,
        "weight.shape != init.shape or weight.dtype != init.dtype",
        "weight.shape != init.shape",
        (_MIXED,),
    ),
)
