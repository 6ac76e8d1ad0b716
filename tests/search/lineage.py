"""A whole search without training: the stored trace that pins every algorithm.

`python -m tests.search.lineage` writes `lineage.json` anew, after a change of behaviour that is
meant; the difference in review shows what changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pbtnas.protocol import generations
from pbtnas.protocol.generations import Search
from pbtnas.records.envelope import digest
from pbtnas.records.schema import Child, Job, Manifest, Result, Selected, birth_to_json
from pbtnas.search import SearchSpace, Variable, layer, switch
from pbtnas.search.algorithms import ALGORITHMS, Algorithm
from tests.search.rules import selection_rule

STORED = Path(__file__).with_name("lineage.json")


def search(algorithm: Algorithm, *, skip_selection: frozenset[int] = frozenset()) -> Search:
    """Eight members, five generations, four variables with every kind of module."""
    return Search(
        space=SearchSpace(
            [
                layer("generator.c0", ("none", "linear", "residual")),
                layer("discriminator.c0", ("linear", "residual", "conv")),
                Variable("width", (1, 2, 3), ("generator.c1", "discriminator.c1")),
                switch("norm", (False, True)),
            ]
        ),
        algorithm=algorithm,
        selection=selection_rule(8),
        seed=31173,
        population=8,
        generations=5,
        epochs=1,
        first_epochs=3,
        skip_selection=skip_selection,
        threads=1,
        origin="lineage",
    )


def trained(job: Job) -> Result:
    """Training as a pure function of the job: a score of two digits, so ties occur; in
    generation 1 one member diverges and another one fails."""
    checkpoint = digest(["train", job.architecture, job.inputs, job.seed, job.epochs])
    if (job.generation, job.member) == (1, 2):
        return Result(job.member, "diverged", None, {}, None)
    if (job.generation, job.member) == (1, 6):
        return Result(job.member, "failed", None, {}, None)
    return Result(job.member, "ok", int(checkpoint[:8], 16) % 30 / 10, {}, checkpoint)


def run(search: Search) -> Iterator[tuple[Manifest, Selected]]:
    """All generations, as the coordinator would carry them from one to the next."""
    manifest = generations.first_manifest(search)
    while True:
        results = {job.member: trained(job) for job in manifest.jobs}
        selected = generations.select(search, manifest, results)
        yield manifest, selected
        if search.last(manifest.generation):
            return
        children = {}
        for birth in selected.births:
            base = selected.result(birth.base).checkpoint
            assert base is not None, "parents have checkpoints"
            overlay = digest(["child", birth_to_json(birth)])
            children[birth.member] = Child(birth.member, overlay, base)
        manifest = generations.next_manifest(search, manifest, selected, children)


def trace(algorithm: Algorithm) -> list[dict[str, Any]]:
    """Each generation: members in slots, their ranking, the births and the survivors."""
    return [
        {
            "architectures": {f"m{j.member}": list(j.architecture) for j in manifest.jobs},
            "ranking": list(selected.ranking),
            "births": [json.loads(json.dumps(birth_to_json(b))) for b in selected.births],
            "survivors": sorted(_alive(selected) - {b.member for b in selected.births}),
        }
        for manifest, selected in run(search(algorithm))
    ]


def _alive(selected: Selected) -> set[int]:
    return {result.member for result in selected.results if result.checkpoint is not None}


def _text(traces: dict[str, list[dict[str, Any]]]) -> str:
    """JSON with a line for every architecture list, ranking, birth and survivor list."""
    blocks = []
    for name, generation_list in traces.items():
        shown = ",\n".join(f"  {_generation(generation)}" for generation in generation_list)
        blocks.append(f"{json.dumps(name)}: [\n{shown}\n]")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _generation(generation: dict[str, Any]) -> str:
    births = ",\n".join(f"    {json.dumps(birth)}" for birth in generation["births"])
    shown = {key: json.dumps(value) for key, value in generation.items()}
    shown["births"] = f"[\n{births}\n  ]" if births else "[]"
    return "{" + ",\n   ".join(f"{json.dumps(key)}: {text}" for key, text in shown.items()) + "}"


if __name__ == "__main__":
    STORED.write_text(_text({name: trace(algorithm) for name, algorithm in ALGORITHMS.items()}))
