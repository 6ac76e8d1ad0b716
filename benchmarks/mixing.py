"""What mixing costs, beside the bare reading and writing of files; and digests and loading.

    OMP_NUM_THREADS=1 python benchmarks/mixing.py

Mixing: a child that inherits 25 % of the blocks, from two full checkpoints of 660 tensors each
(live, averaged, Adam's two moments, buffers) to the written, hashed overlay.

    floor        read both files as bytes and write one: read_bytes twice, write_bytes
    lazy         `child_of` and `write_overlay`, each fresh tensor generated when it is mixed
    ready        the same with all fresh tensors already in memory
    whole        the same, but every fresh tensor of the network is generated first, in the
                 timing: what a task's `create` does, without its construction of modules
    safetensors  load both with safetensors, mix in memory, save one

Then the same for members of a task whose children inherit one of three edges, with the new member
that `create` makes and with the tensors of `create_modules`.

All in one process and interleaved; files are in the page cache; nobody calls fsync, on either
side.  The ratio is that of the medians.  Memory is that of one mixing in a process of its own
above what it had before (for `ready`, with the fresh tensors): `anonymous` is the sampled peak
of RssAnon, `resident` the peak of all resident memory as the kernel counts it.  The page cache
belongs to neither: our files are read, not mapped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import safetensors.torch
import torch

from pbtnas.checkpoints import files as checkpoints
from pbtnas.checkpoints.digests import ALGORITHMS, file_digest, hasher
from pbtnas.search import Birth, SearchSpace, layer
from pbtnas.state import LazyTensor, State, assemble, lazily, ready
from pbtnas.tasks.fresh import fresh_tensors
from pbtnas.tasks.weight_sharing import Cell64Task
from pbtnas.tasks.weight_sharing.options import Cell64Options
from pbtnas.weights import child_of, mix_states

MB = 1_000_000
BLOCKS = 40
SPACE = SearchSpace([layer(f"generator.blocks.{i}", ("a", "b")) for i in range(BLOCKS)])
BIRTH = Birth(
    member=0,
    base=1,
    donor=2,
    inherited=tuple(range(0, BLOCKS, 4)),
    architecture=(0,) * BLOCKS,
    seed=0,
    shrink=0.4,
    perturb=0.1,
)
WAYS = ("lazy", "ready", "whole", "safetensors")


def shapes(size: int) -> dict[str, tuple[int, ...]]:
    """Parameters of a network whose checkpoint has so many bytes: 160 for 40 blocks."""
    width = round((size / 4 / 4 / (2 * 9 * BLOCKS)) ** 0.5)  # live, averaged and two moments
    return {
        f"generator.blocks.{block}.{name}": shape
        for block in range(BLOCKS)
        for i in (0, 1)
        for name, shape in (
            (f"conv{i}.weight", (width, width, 3, 3)),
            (f"conv{i}.bias", (width,)),
        )
    }


def network(size: int, seed: int) -> State:
    """A trained member's state with random values: 640 float tensors and 20 counters."""
    rng = torch.Generator().manual_seed(seed)
    names = shapes(size)
    live = {name: torch.randn(shape, generator=rng) for name, shape in names.items()}
    moments = {
        f"{name}/{moment}": torch.randn(shape, generator=rng)
        for name, shape in names.items()
        for moment in ("exp_avg", "exp_avg_sq")
    }
    buffers = {f"generator.blocks.{2 * i}.seen": torch.tensor(seed) for i in range(20)}
    averaged = {name: tensor.clone() for name, tensor in live.items()}
    return State(live, buffers, averaged, moments, info={"steps": seed})


def fresh(size: int) -> dict[str, LazyTensor]:
    """A new initialisation, each tensor generated when it is asked for."""
    rng = torch.Generator().manual_seed(3)

    def drawn(shape: tuple[int, ...]) -> LazyTensor:
        return LazyTensor(shape, torch.float32, lambda: torch.randn(shape, generator=rng))

    names = shapes(size)
    tensors = {
        f"{section}/{name}": drawn(shape)
        for section in ("live", "averaged")
        for name, shape in names.items()
    }
    counters = {f"buffers/generator.blocks.{2 * i}.seen": torch.tensor(0) for i in range(20)}
    return tensors | {key: ready(tensor) for key, tensor in counters.items()}


def made(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """All of them in memory; averaged copies start as copies."""
    live = {key: lazy.make() for key, lazy in tensors.items() if key.startswith("live/")}
    averaged = {key.replace("live/", "averaged/"): tensor.clone() for key, tensor in live.items()}
    buffers = {key: lazy.make() for key, lazy in tensors.items() if key.startswith("buffers/")}
    return {key: ready(tensor) for key, tensor in (live | averaged | buffers).items()}


@dataclass(frozen=True)
class Parents:
    """Two checkpoints to mix, whose digests are known from the results of their jobs."""

    base: Path
    donor: Path
    digests: tuple[str, str]
    hash: str


def mixed(parents: Parents, out: Path, new: Mapping[str, LazyTensor]) -> str:
    """What the coordinator does for one birth."""
    first, second = parents.digests
    with (
        checkpoints.read_lazily(parents.base, first, algorithm=parents.hash) as ours,
        checkpoints.read_lazily(parents.donor, second, algorithm=parents.hash) as theirs,
    ):
        child = child_of(SPACE, BIRTH, base=ours, donor=theirs, fresh=new)
        return checkpoints.write_overlay(out, child.overlay, child.origins, algorithm=parents.hash)


def mixed_plainly(parents: Parents, out: Path, new: Mapping[str, LazyTensor]) -> None:
    """The same child with the safetensors library alone: whole files in and out, not hashed."""
    ours, theirs = (
        assemble(safetensors.torch.load_file(path), {}) for path in (parents.base, parents.donor)
    )
    start = assemble({key: lazy.make() for key, lazy in new.items()}, {})
    child = mix_states(SPACE, BIRTH, base=ours, donor=theirs, fresh=start)
    tensors = {key: lazy.make() for key, lazy in lazily(child).items()}
    safetensors.torch.save_file(tensors, out)


def action(way: str, size: int, folder: Path, hash_: str) -> Callable[[], object]:
    """One way to mix the two checkpoints of a folder, ready to be timed."""
    base, donor, out = (folder / name for name in ("base", "donor", way))
    digests = file_digest(base, hash_), file_digest(donor, hash_)
    parents = Parents(base, donor, digests, hash_)
    if way == "lazy":
        return lambda: mixed(parents, out, fresh(size))
    if way == "whole":
        return lambda: mixed(parents, out, made(fresh(size)))
    new = made(fresh(size))
    if way == "ready":
        return lambda: mixed(parents, out, new)
    return lambda: mixed_plainly(parents, out, new)


def floor(folder: Path) -> None:
    """Two files in, one file out, as bytes."""
    first, _ = (folder / "base").read_bytes(), (folder / "donor").read_bytes()
    (folder / "floor").write_bytes(first)


def interleaved(
    actions: Mapping[str, Callable[[], object]], repeats: int, before: Callable[[str], object]
) -> dict[str, float]:
    """Median seconds of each action; one round more, uncounted, comes first."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats + 1):
        for name, act in actions.items():
            before(name)
            start = time.perf_counter()
            act()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values[1:]) for name, values in seconds.items()}


def compare_mixing(size: int, folder: Path, repeats: int, hash_: str) -> None:
    """Print one row a way to mix."""
    for name, seed in (("base", 1), ("donor", 2)):
        checkpoints.write(folder / name, network(size, seed), algorithm=hash_)
    actions: dict[str, Callable[[], object]] = {"floor": lambda: floor(folder)}
    actions |= {way: action(way, size, folder, hash_) for way in WAYS}
    seconds = interleaved(actions, repeats, lambda name: (folder / name).unlink(missing_ok=True))
    whole = (folder / "base").stat().st_size
    print(
        f"\n{whole / MB:.0f} MB, {len(lazily(network(MB, 0)))} tensors, "
        f"{len(BIRTH.inherited)} of {BLOCKS} blocks donated, {hash_}"
    )
    print(
        f"{'':12} {'ms':>8} {'of floor':>9} {'written MB':>11} {'anonymous':>15} {'resident':>15}"
    )
    for name, median_s in seconds.items():
        row = f"{name:12} {median_s * 1e3:8.1f} {median_s / seconds['floor']:9.2f}"
        row += f" {(folder / name).stat().st_size / MB:11.1f}"
        if name != "floor":
            for peak in peaks(name, size, folder, hash_):
                row += f" {peak / MB:7.1f} MB {peak / whole:4.0%}"
        print(row)


def compare_creating(size: int, folder: Path, repeats: int, hash_: str) -> None:
    """Print what a child of the task `cell64` costs with `create` and with `create_modules`."""
    architecture = (1, 2, 3)
    # Nearly all bytes are those of pointwise weights, of which SGD keeps one moment.
    task = Cell64Task(Cell64Options(width=round((size / 890) ** 0.5)))
    birth = Birth(0, 1, 2, (1,), architecture, seed=5, shrink=0.4, perturb=0.1)
    for name, seed in (("base", 1), ("donor", 2)):
        state = task.create(architecture, seed).state()
        state.optimizer = {f"{n}/momentum_buffer": t.clone() for n, t in state.live.items()}
        checkpoints.write(folder / name, state, algorithm=hash_)
    digests = [file_digest(folder / name, hash_) for name in ("base", "donor")]

    def child(out: str, fresh: Callable[[], Mapping[str, LazyTensor]]) -> None:
        with (
            checkpoints.read_lazily(folder / "base", digests[0], algorithm=hash_) as ours,
            checkpoints.read_lazily(folder / "donor", digests[1], algorithm=hash_) as theirs,
        ):
            found = child_of(task.space, birth, base=ours, donor=theirs, fresh=fresh())
            checkpoints.write_overlay(folder / out, found.overlay, found.origins, algorithm=hash_)

    actions: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(folder),
        "create": lambda: child("create", lambda: lazily(task.create(architecture, 5).state())),
        "modules": lambda: child("modules", lambda: fresh_tensors(task, architecture, 5)),
    }
    seconds = interleaved(actions, repeats, lambda name: (folder / name).unlink(missing_ok=True))
    same = (folder / "create").read_bytes() == (folder / "modules").read_bytes()
    whole, parts = ((folder / name).stat().st_size / MB for name in ("base", "modules"))
    print(f"\ncell64, {whole:.0f} MB, {parts:.0f} MB written, equal bytes: {same}")
    for name, median_s in seconds.items():
        print(f"{name:12} {median_s * 1e3:8.1f} {median_s / seconds['floor']:9.2f}")


def peaks(way: str, size: int, folder: Path, hash_: str) -> tuple[int, int]:
    """Growth of anonymous and of resident memory in one mixing, in bytes."""
    command = [sys.executable, __file__, "--measure", way, str(size), str(folder), hash_]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    anonymous, resident = map(int, done.stdout.split())
    return anonymous, resident


def measure(way: str, size: int, folder: Path, hash_: str) -> None:
    """Print the peaks of this process in one mixing, above its memory before."""
    torch.set_num_threads(1)
    act = action(way, size, folder, hash_)
    with tempfile.TemporaryDirectory() as small:  # what is allocated once, on first use
        for name in ("base", "donor"):
            checkpoints.write(Path(small) / name, network(MB // 10, 1), algorithm=hash_)
        action(way, MB // 10, Path(small), hash_)()
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak starts anew
    before = {field: status(field) for field in ("RssAnon", "VmRSS")}
    highest, over = 0, threading.Event()

    def sample() -> None:
        nonlocal highest
        while not over.is_set():
            highest = max(highest, status("RssAnon"))
            time.sleep(0.0002)

    sampler = threading.Thread(target=sample)
    sampler.start()
    act()
    over.set()
    sampler.join()
    print(max(0, highest - before["RssAnon"]), max(0, status("VmHWM") - before["VmRSS"]))


def status(field: str) -> int:
    """A field of this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(field)


def compare_digests(folder: Path, repeats: int) -> None:
    """Print the speed of each digest on bytes in memory and on a file."""
    print("\ndigests: GB/s in memory (of a file)")
    print(f"{'MB':>6}" + "".join(f"{name:>20}" for name in ALGORITHMS))
    for size in (MB // 10, 10 * MB, 200 * MB):
        content = os.urandom(size)
        path = folder / "bytes"
        path.write_bytes(content)
        actions: dict[str, Callable[[], object]] = {}
        for name in ALGORITHMS:
            actions[name] = lambda n=name, c=content: hasher(n).update(c)  # type: ignore[misc]
            actions[f"{name} file"] = lambda n=name, p=path: file_digest(p, n)  # type: ignore[misc]
        rounds = repeats if size > MB else 20 * repeats
        seconds = interleaved(actions, rounds, lambda _: None)
        row = f"{size / MB:6.1f}"
        for name in ALGORITHMS:
            rate, of_file = (size / seconds[n] / 1e9 for n in (name, f"{name} file"))
            row += f"{f'{rate:.2f} ({of_file:.2f})':>20}"
        print(row)


def compare_loading(size: int, folder: Path, repeats: int, hash_: str) -> None:
    """Print what loading a full checkpoint costs."""
    path = folder / "loaded"
    digest = checkpoints.write(path, network(size, 1), algorithm=hash_)
    actions: dict[str, Callable[[], object]] = {
        "safetensors load_file": lambda: safetensors.torch.load_file(path),
        "one hash pass": lambda: file_digest(path, hash_),
        "read_verified": lambda: checkpoints.read_verified([path], [digest], algorithm=hash_),
    }
    print(f"\nloading {path.stat().st_size / MB:.0f} MB, {hash_}")
    for name, median_s in interleaved(actions, repeats, lambda _: None).items():
        print(f"{name:22} {median_s * 1e3:8.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="What mixing, digests and loading cost.")
    parser.add_argument("--repeats", type=int, default=9, help="rounds that count (default 9)")
    parser.add_argument("--hash", default="xxh3-128", choices=ALGORITHMS, help="of checkpoints")
    parser.add_argument("--mb", type=int, nargs="+", default=[50, 200], help="checkpoint sizes")
    parser.add_argument("--directory", type=Path, help="where to work (default: a temporary one)")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, size, folder, hash_ = options.measure
        return measure(way, int(size), Path(folder), hash_)
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        for mb in options.mb:
            compare_mixing(mb * MB, folder, options.repeats, options.hash)
        for mb in options.mb:
            compare_creating(mb * MB, folder, options.repeats, options.hash)
        compare_digests(folder, options.repeats)
        for mb in (10, 50):
            compare_loading(mb * MB, folder, options.repeats, options.hash)


if __name__ == "__main__":
    main()
