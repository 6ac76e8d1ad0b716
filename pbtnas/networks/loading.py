"""Trained networks, out of a finished run or an export.  Neither data nor extractor is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import safetensors.torch
from torch import nn

from pbtnas.config import Config, TaskConfig, from_json
from pbtnas.config.fields import closest
from pbtnas.networks.export_directory import MODEL, NotAnExport, is_export, read_config, read_file
from pbtnas.networks.members import load_member, load_soup
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Manifest, Soup
from pbtnas.search.space import Architecture
from pbtnas.store.finished import (
    best_so_far,
    champions,
    front_member,
    is_front,
    is_member,
    member,
    named_member,
    places_in_front,
    soups,
)
from pbtnas.store.opening import open_files
from pbtnas.store.products import check_products, lookup
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun, Run, open_run, space_digest
from pbtnas.store.task_code import check_code
from pbtnas.tasks.base import HasSubnets, NoSubnets, Task, TaskError, Trainee
from pbtnas.tasks.code import code_of
from pbtnas.tasks.faults import blamed
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.optional import HasNetwork, Lookup, Recalls

BEST = "best-ever"
SO_FAR = "best-so-far"


@dataclass(frozen=True)
class Loaded:
    """A trained network, in evaluation mode on the CPU.

    Args:
        task: The task that trained it; not prepared.
        network: The result of its trainee's `trained_network`.
    """

    task: Task
    network: nn.Module


@dataclass(frozen=True)
class RunNetwork(Loaded):
    """A network out of a run, and where it comes from.

    Args:
        which: Name: best-ever, best-last, front-3, or that of a soup or member.
        best: The member or soup of that name.
        subnet: The name of the subnet that the network is; None for all of the member's.
        products: The products of the run, as far as the task needed them, by name.
    """

    which: str
    run: Run
    config: Config
    best: Champion | Soup
    subnet: str | None
    products: Mapping[str, bytes]


def load_network(
    directory: Path,
    which: str | None = None,
    task_file: str | None = None,
    *,
    accept: bool = False,
) -> Loaded:
    """The trained network of a run or of an export.

    Args:
        directory: The directory of a run or of an export.
        which: Name: best-ever, which is the default, best-last, the name of a soup, such as
            best-ever-soup, or a place in the front, such as front-3; of a run that is not
            finished, best-so-far.  Of any run a member that has its checkpoint still: m03, or
            g0012-m03.  An export holds only one.
        task_file: "FILE.py:Class", for a task of the user's own.
        accept: Whether the run goes on with other code of the task than its own from now on.

    Raises `NotARun`, `NotAnExport`, `TaskError`, `OtherCode`, `OtherProducts` or
    `CorruptCheckpoint`, each with one sentence.
    """
    if is_export(directory):
        return _load_export(directory, which, task_file)
    return load_from_run(directory, which or BEST, task_file, accept=accept)


def load_from_run(
    root: Path,
    which: str,
    task_file: str | None,
    subnet: str | None = None,
    *,
    accept: bool = False,
) -> RunNetwork:
    """The network of a member or soup of a run, or of one subnet of it.

    Where best-ever is asked for a subnet that a single other member holds, it is that one's.
    Raises what `load_network` raises, and `NoSubnets` where it holds no such subnet.
    """
    run = open_run(root)
    config = from_json(run.config, recorded=run.options)
    with open_files(root) as files:
        if which == SO_FAR:
            best: Champion | Soup = best_so_far(files)
        elif is_member(which):
            best = member(files, run, which)
        elif is_front(which):
            best = front_member(files, run, which)
        else:
            found: dict[str, Champion | Soup] = {**champions(files, run), **soups(files, run)}
            found |= places_in_front(files, run)
            best = _choose(which, found, root)
        task = _task(config.task, task_file, run.space, root)
        check_code(root, run, code_of(task), accept=accept)
        run = open_run(root) if accept else run
        if subnet is not None and which == BEST:
            which, best = _holder(files, run, task, subnet) or (which, best)
        products = _Remembered(partial(lookup, files))
        if isinstance(task, Recalls):
            with blamed("recall()", type(task)):
                task.recall(products)
            used = {n: hashlib.sha256(data).hexdigest() for n, data in products.seen.items()}
            check_products(files, run.id, used, all_of_them=False)
        trainee = _trainee(root, run, config, task, best)
    if subnet is not None:
        rater = rater_of(task, best.architecture, subnet, f"{root}: {which}")
        rater.load(trainee.state())
        trainee = rater
    network = network_of(trainee, config.task.name)
    return RunNetwork(task, network, which, run, config, best, subnet, products.seen)


def rater_of(task: Task, architecture: Architecture, subnet: str, where: str) -> Trainee:
    """A trainee whose network is a subnet of a member of that architecture.  Raises `NoSubnets`."""
    if not isinstance(task, HasSubnets):
        raise NoSubnets(f"{where}: its network has no subnets")
    names = task.subnets(architecture)
    if subnet not in names:
        match = closest(subnet, names)
        hint = f"; is {match!r} meant?" if match else ""
        raise NoSubnets(
            f"{where}: has no subnet {subnet!r}, but {names[0]} to {names[-1]}, "
            f"{len(names)} in all{hint}"
        )
    with blamed("rater()", type(task)):
        return task.rater(architecture, (subnet,))


def network_of(trainee: Trainee, task: str) -> nn.Module:
    """What remains of a trainee, in evaluation mode.  Raises `TaskError` if nothing does."""
    if not isinstance(trainee, HasNetwork):
        raise TaskError(
            f"the task {task!r} does not say what its trained network is: "
            f"{type(trainee).__name__} needs a method trained_network()"
        )
    with blamed("trained_network()", type(trainee)):
        return trainee.trained_network().eval()


def _load_export(directory: Path, which: str | None, task_file: str | None) -> Loaded:
    config = read_config(directory)
    if which not in (None, config["which"]):
        raise NotAnExport(f"{directory}: holds {config['which']}, not {which}")
    section = TaskConfig(config["task"]["name"], config["task"]["options"])
    task = _task(section, task_file, config["space"], directory)
    if isinstance(task, Recalls):
        kept = config["products"]
        with blamed("recall()", type(task)):
            task.recall(lambda name: read_file(directory, config, name) if name in kept else None)
    architecture, subnet = tuple(config["architecture"]), config.get("subnet")
    if subnet is not None:
        trainee = rater_of(task, architecture, subnet, str(directory))
    else:
        with blamed("create()", type(task)):
            trainee = task.create(architecture, 0)
    network = network_of(trainee, section.name)
    tensors = safetensors.torch.load(read_file(directory, config, MODEL))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise NotAnExport(f"{directory}: the code has changed since: {reason}") from error
    return Loaded(task, network)


def _holder(
    files: RunReader, run: Run, task: Task, subnet: str
) -> tuple[str, Champion | Soup] | None:
    """The member of the last generation that holds a subnet, if there is only one."""
    last = max(champions(files, run).values(), key=lambda best: best.generation).generation
    record = files.record(paths.manifest(last), "manifest", run.id)
    if record is None or not isinstance(task, HasSubnets):
        return None
    jobs = Manifest.from_json(record.core).jobs
    holders = [job.member for job in jobs if subnet in task.subnets(job.architecture)]
    if len(holders) != 1:
        return None
    name = named_member(last, holders[0])
    return name, member(files, run, name)


def _choose(which: str, found: Mapping[str, Champion | Soup], root: Path) -> Champion | Soup:
    if which not in found:
        raise NotARun(f"{root}: has no {which!r}, but {', '.join(found) or 'no member at all'}")
    return found[which]


def _trainee(root: Path, run: Run, config: Config, task: Task, best: Champion | Soup) -> Trainee:
    try:
        if isinstance(best, Soup):
            return load_soup(root, run, config, task, best)
        return load_member(root, run, config, task, best)
    except FileNotFoundError as error:
        raise NotARun(f"{error.filename}: the checkpoint is gone; it cannot be loaded") from error
    except ValueError as error:
        raise NotARun(f"{root}: the code has changed since: {error}") from error


def _task(section: TaskConfig, task_file: str | None, space: str, origin: Path) -> Task:
    task = load_task(section.name, section.in_force, task_file=task_file)
    if space_digest(task.space) != space:
        raise TaskError(
            f"{origin}: the task {section.name!r} here has another search space than the one this "
            "network was found in"
        )
    return task


@dataclass
class _Remembered:
    """Looks products up, and remembers what it found."""

    lookup: Lookup
    seen: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, name: str) -> bytes | None:
        data = self.lookup(name)
        if data is not None:
            self.seen[name] = data
        return data
