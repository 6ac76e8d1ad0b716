"""From a finished run to a directory that lives without it.

`config.json` has, beside what `directory.py` adds:

    which, generation, member   whose network it is; of a soup, with whom it began
    subnet, subnet_choices      which of the member's subnets it is, and its options by variable if
                                its task says them; only there if it is one
    task                        name, and all options; names of those that are assumed to have had
                                the defaults of now, because the run does not record them
    architecture, choices       option indices; the same as options by variable
    space                       digest of the search space
    found                       score and metrics by the search's own evaluation; of a soup, the
                                members in it (ingredients)
    evaluated                   score and metrics of the final evaluation; null if there is none
    run                         id, seed and fingerprint; null of a run that goes on; the processor
                                that it was started with; null if it does not record that
    code                        the code of the task that the run goes on with: SHA-256 of its
                                files or its package, and versions of pbtnas, torch, numpy and
                                Python; how often it was changed; null where it is not recorded
    products                    names of files that the task needs to make the network
    versions                    of pbtnas and torch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from pbtnas.checkpoints.one_pass import read_bytes
from pbtnas.config import to_yaml
from pbtnas.networks.card import Card, render
from pbtnas.networks.export_directory import (
    CARD,
    LIMIT,
    MODEL,
    SEARCH,
    STATE,
    check_target,
    write,
)
from pbtnas.networks.loading import SO_FAR, RunNetwork, load_from_run
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.records.schema import Champion, Result, Selected, Soup
from pbtnas.regular_files import read_regular
from pbtnas.store.controls import end_in, steering_of
from pbtnas.store.finished import result_of
from pbtnas.store.opening import open_files
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun
from pbtnas.tasks.base import SUBNET, TaskError
from pbtnas.tasks.loading import complete_options
from pbtnas.tasks.optional import DescribesSubnets, ShowsUse
from pbtnas.version import __version__


def export(
    root: Path,
    directory: Path,
    which: str,
    *,
    task_file: str | None,
    whole: bool,
    subnet: str | None = None,
    accept: bool = False,
) -> list[Path]:
    """Export a member of a finished run; returns the files.

    Args:
        root: The run directory.
        directory: The directory to export to; an unchanged older export is replaced.
        which: Name: best-ever, best-last, front-3, that of a soup, or a member's such as m03.
        task_file: "FILE.py:Class", for a task of the user's own.
        whole: Whether to add the checkpoint, with which training could go on.
        subnet: Name of the subnet to export, as a plain network with the shared weights.
        accept: Whether the run goes on with other code of the task than its own from now on.

    Raises what `load_from_run` and `directory.write` raise.
    """
    check_target(directory)
    if which == SO_FAR:
        raise NotARun(
            f"{root}: {SO_FAR} changes while a run goes on; only finished ones are exported"
        )
    member = load_from_run(root, which, task_file, subnet, accept=accept)
    with open_files(root) as reader:
        results = _results(reader, member)
        files = {MODEL: _weights(member.network), SEARCH: _search(member), **member.products}
        if whole:
            checkpoint = reader.fetch(_checkpoint(member.best))
            files[STATE] = read_bytes(checkpoint, member.best.checkpoint, algorithm=member.run.hash)
        artifacts = {
            name: _picture(reader, paths.artifact_of(member.best.checkpoint, name))
            for name in results.artifacts
        }
    config = _config(member, results)
    card = Card(config, member.run.config, task_file, _example(member.network), tuple(artifacts))
    write(directory, config, {**artifacts, **files, CARD: render(card).encode()})
    return sorted(directory.iterdir())


@dataclass(frozen=True)
class _Results:
    """What the run's records say about a member."""

    found: Mapping[str, Any]
    evaluated: Mapping[str, Any] | None
    artifacts: tuple[str, ...]
    fingerprint: str | None


def _results(reader: RunReader, member: RunNetwork) -> _Results:
    evaluated, artifacts = None, ()
    if member.subnet is not None:
        score = _found(reader, member)["metrics"].get(f"{SUBNET}{member.subnet}")
        return _Results({"score": score, "metrics": {}}, None, (), _fingerprint(reader, member))
    name = paths.evaluation(member.best.checkpoint)
    record = reader.record(name, "evaluation", member.run.id)
    if record is not None:
        evaluated = {"score": record.core["score"], "metrics": record.core["metrics"]}
        artifacts = tuple(record.core["artifacts"])
    return _Results(_found(reader, member), evaluated, artifacts, _fingerprint(reader, member))


def _fingerprint(reader: RunReader, member: RunNetwork) -> str | None:
    end = end_in(reader, steering_of(reader, member.run.id)[0])
    final = None if end is None else reader.record(end, "final", member.run.id)
    return None if final is None else final.core["fingerprint"]


def _found(reader: RunReader, member: RunNetwork) -> Mapping[str, Any]:
    best = member.best
    if isinstance(best, Soup):
        return {"score": best.score, "metrics": {}, "ingredients": list(best.ingredients)}
    record = reader.record(paths.selection(best.generation), "selection", member.run.id)
    selected = None if record is None else Selected.from_json(record.core)
    if selected is not None and not selected.cancelled:
        result = selected.result(best.member)
    else:  # of a generation in work, or in whose midst the run was cancelled
        record = result_of(reader, member.run, best.generation, best.member)
        assert record is not None, "its score was read from it"
        result = Result.from_json(record.core)
    return {"score": result.score, "metrics": result.metrics}


def _config(member: RunNetwork, results: _Results) -> dict[str, Any]:
    best, config = member.best, member.config
    options = complete_options(member.task, config.task.in_force)
    given, recorded = config.task.options.keys(), member.run.options
    return {
        "which": member.which,
        "generation": best.generation,
        "member": best.member,
        **_subnet(member),
        "task": {
            "name": config.task.name,
            "options": options,
            "assumed": [] if recorded is not None else sorted(options.keys() - given),
        },
        "architecture": list(best.architecture),
        "choices": (member.run.variables or member.task.space).decode(best.architecture),
        "space": member.run.space,
        "found": results.found,
        "evaluated": results.evaluated,
        "run": {
            "id": member.run.id,
            "seed": config.run.seed,
            "fingerprint": results.fingerprint,
            "processor": None if member.run.processor is None else str(member.run.processor),
        },
        "products": sorted(member.products),
        "code": member.run.codes.summary(),
        "versions": {"pbtnas": __version__, "torch": torch.__version__},
    }


def _subnet(member: RunNetwork) -> dict[str, Any]:
    task, name = member.task, member.subnet
    if name is None:
        return {}
    if not isinstance(task, DescribesSubnets):
        return {"subnet": name}
    choices = dict(task.subnet_choices(member.best.architecture, name))
    return {"subnet": name, "subnet_choices": choices}


def _weights(network: nn.Module) -> bytes:
    tensors = {}
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise TaskError(f"the network's {name!r} is a {type(value).__name__}, not a tensor")
        # A copy each: the format has no tensors that share memory, as tied weights do.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return safetensors.torch.save(tensors, metadata={"format": "pt"})


def _search(member: RunNetwork) -> bytes:
    return to_yaml(member.run.config, member.run.options).encode()


def _example(network: nn.Module) -> str:
    if isinstance(network, ShowsUse):
        return network.example
    return "outputs = network(inputs)"


def _checkpoint(best: Champion | Soup) -> Name:
    if isinstance(best, Soup):
        return paths.soup_checkpoint(best.checkpoint)
    return paths.checkpoint(best.generation, best.checkpoint)


def _picture(files: RunReader, name: Name) -> bytes:
    """What the final evaluation has left for people; nobody has its digest."""
    try:
        return read_regular(files.fetch(name), limit=LIMIT)
    except OSError as error:
        raise NotARun(f"{files.root}/{name}: cannot be read: {error.strerror}") from error
