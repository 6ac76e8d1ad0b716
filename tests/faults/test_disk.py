"""A disk that fails: the run ends with the outcome of an undisturbed one, and leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pbtnas.records import paths
from tests.faults.lab import Lab
from tests.faults.rules import Rule

pytestmark = pytest.mark.faults

RUN = "^/run/"  # the mounts show its parent


def ends_like(reference: dict[str, Any], lab: Lab, *engine: str, step_s: float = 0.02) -> None:
    """Everybody works on the planted disk, to the usual end."""
    processes = lab.everybody(*engine, step_s=step_s)
    assert lab.end(processes) == [0, 0, 0], lab.tails()
    lab.holds(reference)


@pytest.mark.parametrize(
    "op", ["open", "create", "read", "write", "fsync", "fsyncdir", "link", "rename", "readdir"]
)
def test_errors_now_and_then(lab: Lab, reference: dict[str, Any], op: str) -> None:
    """An operation that fails with EIO now and then is tried again."""
    lab.serve()
    lab.plant(Rule(op, RUN, error="EIO", chance=0.05, count=12))

    ends_like(reference, lab)

    assert lab.struck()[f"{op} EIO"] >= 1


@pytest.mark.parametrize("op", ["link", "rename", "write", "fsync", "mkdir", "unlink"])
def test_lost_replies(lab: Lab, reference: dict[str, Any], op: str) -> None:
    """What was done although the reply says EIO is found to be done."""
    lab.serve()
    lab.plant(Rule(op, RUN, error="EIO", done=True, chance=0.2, count=15))

    ends_like(reference, lab)


UNREADABLE = {
    "result": "/generations/0001/results/m03.json$",
    "selection": "/generations/0001/selection.json$",
    "manifest": "/generations/0002/manifest.json$",
    "birth": "/generations/0001/births/m..\\.json$",
    "claim": "/generations/0001/claims/m02.001.json$",
    "view": "/(HEAD|best.json)$",
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_record_that_cannot_be_read_any_more(
    lab: Lab, reference: dict[str, Any], kind: str
) -> None:
    """What has become unreadable for ever is put aside and made again."""
    lab.serve()
    lab.plant(Rule("read", UNREADABLE[kind], error="EIO", for_ever=True))

    ends_like(reference, lab)

    assert lab.struck()["read EIO for ever"] >= 1


@pytest.mark.parametrize("op", ["read", "open"])
@pytest.mark.parametrize("which", ["parent", "overlay", "base"])
def test_a_checkpoint_that_cannot_be_read_any_more(
    lab: Lab, reference: dict[str, Any], which: str, op: str
) -> None:
    """A parent that the coordinator mixes, and both inputs of a child, are computed again."""
    birth = reference["births"][0]  # of generation 0
    lab.serve()
    digest = {
        "parent": reference["checkpoints"][f"g0 m{birth.donor}"],
        "base": reference["checkpoints"][f"g0 m{birth.base}"],
    }
    overlay = r"/generations/0000/checkpoints/(?!\.|" + "|".join(
        checkpoint for name, checkpoint in reference["checkpoints"].items() if name[:2] == "g0"
    )
    name = f"{overlay})" if which == "overlay" else paths.checkpoint(0, digest[which])
    lab.plant(Rule(op, name, error="EIO", for_ever=True, client="b" if which == "base" else ""))

    ends_like(reference, lab)


def test_a_snapshot_that_cannot_be_read_any_more(lab: Lab, reference: dict[str, Any]) -> None:
    """It is optional: the job begins anew."""
    lab.serve()
    lab.plant(Rule("read", "/snapshot-", error="EIO", for_ever=True))
    coordinator = lab.coordinator()
    first = lab.worker(PBTNAS_TEST_STEP_S="0.3")
    logs = lab.site.run_dir / paths.attempts(0)
    lab.site.until(lambda: list(logs.glob("*/log.jsonl")), "a step")
    first.process.terminate()
    codes = lab.end([first])
    workers = [lab.worker("a"), lab.worker("b")]

    assert codes == [75]
    assert list(logs.glob("*/snapshot-*"))
    assert lab.end([coordinator, *workers]) == [0, 0, 0], lab.tails()
    lab.holds(reference)
    assert lab.struck()["read EIO for ever"] >= 1


@pytest.mark.parametrize(
    ("name", "worker_ends"), [("run.json", 1), ("config/0000.json", 1), ("products/points", 69)]
)
def test_what_cannot_be_computed_again_ends_in_a_sentence(
    lab: Lab, reference: dict[str, Any], name: str, worker_ends: int, record_property: Any
) -> None:
    """Without the configuration nobody can go on, and who needs a product that cannot be read is
    told to delete it: a sentence that names the file.  A worker cannot tell whether the product or
    its machine is at fault, so it tries three jobs and then considers its machine unfit."""
    lab.serve()
    coordinator = lab.coordinator()
    lab.site.until(lambda: lab.site.has(paths.manifest(0)), "the run to begin")
    coordinator.kill()
    lab.plant(Rule("read", f"/{name}$", error="EIO", for_ever=True))
    processes = [lab.coordinator(), lab.worker("b")]

    assert lab.end(processes) == [1, worker_ends], lab.tails()
    for process in processes:
        assert f"{name}: cannot be read" in process.said(), process.said()
    lab.plant()
    ends_like(reference, lab)
    record_property("outcome", "the sentence; the reference when mended")


@pytest.mark.parametrize("skip", [0, 1, 2, 5])
@pytest.mark.parametrize("client", ["a", "b"])
def test_a_bit_that_flips_in_one_read(
    lab: Lab, reference: dict[str, Any], client: str, skip: int
) -> None:
    """Whichever read of a checkpoint it is, what was read is not believed."""
    lab.serve()
    lab.plant(
        Rule("read", r"checkpoints/\w+\.safetensors$", client, flip=40, skip=skip * 3, count=1),
        Rule("read", r"snapshot-", client, flip=40, count=1),
    )

    ends_like(reference, lab)

    assert lab.struck()["read flip"] >= 1


@pytest.mark.parametrize("kind", ["results", "births", "manifest", "selection", "claims"])
def test_bits_that_flip_in_records(lab: Lab, reference: dict[str, Any], kind: str) -> None:
    """A record that was read with a flipped bit is read again or made again."""
    lab.serve()
    chance = 0.5 if kind in ("births", "selection") else 0.1  # those are read less often
    lab.plant(Rule("read", rf"{kind}.*json$", flip=100, chance=chance, count=8))

    ends_like(reference, lab)

    assert lab.struck()["read flip"] >= 1


@pytest.mark.parametrize(
    "rule",
    [
        Rule("write", r"(checkpoints|attempts)/.*\.tmp", delay_s=15, count=2),
        Rule("fsync", r"(checkpoints|attempts)/.*\.tmp", delay_s=15, count=2),
        Rule("read", r"checkpoints/\w+\.safetensors$", delay_s=15, count=2),
        Rule("open", r"checkpoints/\w+\.safetensors$", delay_s=15, count=2),
        Rule("rename", r"checkpoints/\w+\.safetensors$", delay_s=15, count=2),
    ],
    ids=lambda rule: rule.op,
)
def test_a_slow_disk_is_not_a_hanging_job(lab: Lab, reference: dict[str, Any], rule: Rule) -> None:
    """What takes longer than `hang_s` because of the disk does not count against a member."""
    lab.serve()
    lab.plant(rule)

    ends_like(reference, lab, "hang_s=10", "attempts=1")


def test_a_full_disk_for_a_while(lab: Lab, reference: dict[str, Any]) -> None:
    """Nobody gives up, and everybody goes on when there is space."""
    lab.serve()
    processes = lab.everybody()
    lab.site.until(lambda: lab.site.has(paths.manifest(1)), "generation 1 to begin")
    lab.plant(*(Rule(op, RUN, error="ENOSPC") for op in ("write", "create", "link", "mkdir")))
    processes[1].until_it_says("waiting: .*No space left on device")
    lab.plant()

    assert lab.end(processes) == [0, 0, 0], lab.tails()
    lab.holds(reference)


def test_writes_that_now_and_then_find_no_space(lab: Lab, reference: dict[str, Any]) -> None:
    """A disk on the brink: every eighth write and create fails."""
    lab.serve()
    rules = (Rule(op, RUN, error="ENOSPC", chance=0.12, count=60) for op in ("write", "create"))
    lab.plant(*rules)

    ends_like(reference, lab)


@pytest.mark.parametrize(
    ("when", "error"),
    [
        *(("at the start", error) for error in ("ESTALE", "ETIMEDOUT", "ENOTCONN")),
        *(("in the middle", error) for error in ("ESTALE", "ETIMEDOUT", "ENOTCONN", "EACCES")),
    ],
)
def test_a_directory_that_is_not_reachable_for_a_while(
    lab: Lab, reference: dict[str, Any], when: str, error: str
) -> None:
    """Everybody waits and goes on, also who has just begun."""
    away = Rule("any", "^/run(/|$)", error=error)
    lab.serve()
    if when == "at the start":
        coordinator = lab.coordinator()
        lab.site.until(lambda: lab.site.has(paths.manifest(0)), "the run to begin")
        coordinator.kill()
        lab.plant(away)
        processes = lab.everybody()
        for process in processes:
            process.until_it_says("waiting: ")
    else:
        processes = lab.everybody()
        lab.site.until(lambda: lab.site.has(paths.manifest(1)), "generation 1 to begin")
        lab.plant(away)
        processes[1].until_it_says("waiting: ")
    lab.plant()

    assert lab.end(processes) == [0, 0, 0], lab.tails()
    lab.holds(reference)
    assert lab.struck().total() >= 1


@pytest.mark.parametrize("memory", ["absent", "listing"])
def test_clients_that_remember_what_was(lab: Lab, reference: dict[str, Any], memory: str) -> None:
    """A client that takes new names for absent, or shows old listings, delays nothing for long."""
    lab.serve(**{f"{memory}_s": 20.0})

    ends_like(reference, lab)
