"""Spells every name in the run directory; no other module does.

Names are relative to the run directory, with forward slashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pbtnas.records.names import Digest, Name, Slot

FORMAT = Name("FORMAT")
FORMAT_TEXT = b"pbtnas/1\n"
RUN = Name("run.json")
CONFIG = Name("config/0000.json")
HEAD = Name("HEAD")
FINAL = Name("final.json")
BEST = Name("best.json")
SUMMARY = Name("summary.json")
COORDINATOR_LOCK = Name("coordinator/coordinator.lock")
TERM = Slot("coordinator/term")
SETTINGS = Name("config")
WORKERS = Name("workers")
REPORT = Name("artifacts/report.html")
PRODUCTS = Name("products")
TRASH = Name("trash")
LOG = Name("log")
LAUNCH = Name("launch")
GENERATIONS = Name("generations")
INSIDE = "record"  # file in a record that is published as a directory
PRIVATE = ".tmp-"  # how the name of every private file begins

# Of a study, which holds run directories.
STUDY = Name("study.json")
STUDY_RUNS = Name("runs")
STUDY_ENDED = Name("ended.json")
STUDY_LOCK = Name("study.lock")
STUDY_DIRECTORIES = (STUDY_RUNS, WORKERS)

TOP_DIRECTORIES = (
    "config",
    "coordinator",
    "generations",
    PRODUCTS,
    WORKERS,
    "metrics",
    "artifacts",
    "claims",
    "soups",
    TRASH,
)
AFTERWARDS_DIRECTORIES = ("claims", "soups")  # which runs begun by version 0.1.0 lack
SOUPS = Name("soups")
ARTIFACTS = Name("artifacts")
GENERATION_DIRECTORIES = ("claims", "results", "births", "checkpoints", "attempts")

_MIB = 1 << 20
_LIMITS = (
    (re.compile(r"FORMAT|HEAD|.*\.beat"), 4096),
    (re.compile(r"products/.*"), 1024 * _MIB),
    (re.compile(r"generations/[0-9]+/previews/.*"), _MIB),
    (re.compile(r".*"), 256 * _MIB),
)
"""The most bytes that a file is read of, by its name.  The largest records are the selections of a
large population and the file of a large study, a few MiB."""

_JOB_CLAIM = re.compile(r"m(\d+)\.(\d+)(\.end)?\.json")
_FINAL = re.compile(r"final(?:\.(\d{4,}))?\.json")
_LAUNCH = re.compile(r"(\d{4,})\.json")
_CONTROL = re.compile(r"control\.(\d{4,})\.json")
_SAFE = re.compile(r"[A-Za-z0-9._-]+")


def safe(name: str) -> str:
    """The name itself, if it may become part of a path.

    Raises `ValueError` for anything but [A-Za-z0-9._-], and for names made of dots.
    """
    if not _SAFE.fullmatch(name) or not name.strip("."):
        raise ValueError(f"not a safe name: {name!r} (allowed: letters, digits, '.', '_', '-')")
    return name


def limit(name: Name) -> int:
    """The most bytes that a file of that name ever has; a larger one is none of ours."""
    return next(limit for pattern, limit in _LIMITS if pattern.fullmatch(name))


def within(directory: Name, leaf: str) -> Name:
    """What a listing of a directory calls `leaf`."""
    return Name(f"{directory}/{leaf}")


def directory_of(name: Name | Slot) -> Name:
    """The directory in which a file lies, or the claims of a slot."""
    return Name(name.rpartition("/")[0])


def hinted(head: bytes) -> int | None:
    """The generation that HEAD names; None if it names none."""
    return int(head) if re.fullmatch(rb"[0-9]{1,9}\n?", head) else None


def engine(number: int) -> Name:
    """Other engine settings than the configuration's, the latest number last; they begin at 1."""
    return Name(f"config/engine.{number:04d}.json")


def code(number: int) -> Name:
    """Other code of the task that was accepted, the latest number last; they begin at 1."""
    return Name(f"config/code.{number:04d}.json")


def final(extensions: int) -> Name:
    """The record that the run is over, after so many extensions."""
    return Name(f"final.{extensions:04d}.json") if extensions else FINAL


def final_number(leaf: str) -> int | None:
    """The number of extensions after which a file with that name says the run is over, if any."""
    found = _FINAL.fullmatch(leaf)
    return None if found is None else int(found[1] or 0)


def control(number: int) -> Name:
    """What an operator asked of the run, in the order of the numbers; they begin at 1."""
    return Name(f"config/control.{number:04d}.json")


def control_number(leaf: str) -> int | None:
    """The number of the control that has that file name; None if it is no control."""
    found = _CONTROL.fullmatch(leaf)
    return None if found is None else int(found[1])


def launch(number: int) -> Name:
    """What was asked of another scheduler for this run; the last holds, they begin at 1."""
    return Name(f"{LAUNCH}/{number:04d}.json")


def launch_number(leaf: str) -> int | None:
    """The number of the record of a launch that has that file name; None if it is none."""
    found = _LAUNCH.fullmatch(leaf)
    return None if found is None else int(found[1])


def launch_file(leaf: str) -> Name:
    """A script or a log of processes that another scheduler starts."""
    return Name(f"{LAUNCH}/{safe(leaf)}")


def generation(number: int) -> Name:
    return Name(f"generations/{number:04d}")


def manifest(number: int) -> Name:
    return Name(f"{generation(number)}/manifest.json")


def selection(number: int) -> Name:
    return Name(f"{generation(number)}/selection.json")


def extension(number: int) -> Name:
    """How a run goes on after a generation that would have been its last."""
    return Name(f"{generation(number)}/extension.json")


def result(number: int, member: int, retry: int = 0) -> Name:
    """The outcome of a member's job; of that retry, where it has failed."""
    mark = f"-retry.{retry:03d}" if retry else ""
    return Name(f"{results(number)}/{member_name(member)}{mark}.json")


def results(number: int) -> Name:
    return Name(f"{generation(number)}/results")


def births(number: int) -> Name:
    return Name(f"{generation(number)}/births")


def birth(number: int, member: int) -> Name:
    return Name(f"{births(number)}/{member_name(member)}.json")


def claims(number: int) -> Name:
    return Name(f"{generation(number)}/claims")


def job_slot(number: int, member: int) -> Slot:
    """The slot whose claims say who works on a member's job."""
    return Slot(f"{claims(number)}/{member_name(member)}")


def repair_slot(number: int, member: int) -> Slot:
    """The slot whose claims say who recomputes a member's lost checkpoint."""
    return Slot(f"{claims(number)}/{member_name(member)}-repair")


def claim(slot: Slot, attempt: int) -> Name:
    return Name(f"{slot}.{attempt:03d}.json")


def beat(slot: Slot, attempt: int) -> Name:
    return Name(f"{slot}.{attempt:03d}.beat")


def end(slot: Slot, attempt: int) -> Name:
    return Name(f"{slot}.{attempt:03d}.end.json")


def checkpoints(number: int) -> Name:
    return Name(f"{generation(number)}/checkpoints")


def checkpoint(number: int, digest: Digest) -> Name:
    """The checkpoint with that digest, in the generation that produced it."""
    return Name(f"{checkpoints(number)}/{safe(digest)}.safetensors")


def private_checkpoint(number: int, writer: str, what: str) -> str:
    """The private file in which a checkpoint is written; `what` tells those of a writer apart."""
    return f"{checkpoints(number)}/{PRIVATE}{writer}-{what}"


def attempts(number: int) -> Name:
    return Name(f"{generation(number)}/attempts")


def attempt(number: int, member: int, attempt_number: int) -> Name:
    return Name(f"{attempts(number)}/{member_name(member)}.{attempt_number:03d}")


def attempt_log(number: int, member: int, attempt_number: int) -> Name:
    """What the task has logged in an attempt."""
    return Name(f"{attempt(number, member, attempt_number)}/log.jsonl")


def previews(number: int) -> Name:
    """Pictures that members gave with their scores."""
    return Name(f"{generation(number)}/previews")


def preview(number: int, member: int, suffix: str) -> Name:
    return Name(f"{previews(number)}/{member_name(member)}.{safe(suffix)}")


def logger_directory(logger: str) -> Name:
    """What a logger has written."""
    return Name(f"{LOG}/{safe(logger)}")


def logger_told(logger: str) -> Name:
    """The list of what a logger was told."""
    return Name(f"{LOG}/{safe(logger)}.told")


def logger_lock(logger: str) -> Name:
    return Name(f"{LOG}/{safe(logger)}.lock")


def product(name: str) -> Name:
    return Name(f"{PRODUCTS}/{safe(name)}")


def worker(identifier: str) -> Name:
    return Name(f"{WORKERS}/{safe(identifier)}.beat")


def worker_log(identifier: str) -> Name:
    return Name(f"{WORKERS}/{safe(identifier)}.log")


def metrics(member: int) -> Name:
    return Name(f"metrics/{member_name(member)}.jsonl")


def artifact(name: str) -> Name:
    return Name(f"artifacts/{safe(name)}")


def artifact_of(digest: Digest, leaf: str) -> Name:
    """A file for people about the network with that checkpoint."""
    return artifact(f"{digest[:12]}-{leaf}")


def evaluation(digest: Digest) -> Name:
    """The final evaluation of the member with that checkpoint."""
    return Name(f"artifacts/{safe(digest)}.evaluation.json")


def subnets(digest: Digest) -> Name:
    """What a piece of the rating of subnets has found; the digest is that of the piece."""
    return Name(f"artifacts/{safe(digest)}.subnets.json")


def soup(which: str) -> Name:
    """The record of a soup, e.g. of `best-ever-soup`."""
    return Name(f"{SOUPS}/{safe(which)}.json")


def soup_of(leaf: str) -> str | None:
    """The name of the soup that a file in `soups/` records; None for another file."""
    return leaf.removesuffix(".json") if kind_afterwards(leaf) == "soup" else None


def soup_checkpoint(digest: Digest) -> Name:
    return Name(f"{SOUPS}/{safe(digest)}.safetensors")


def trial(digest: Digest) -> Name:
    """The outcome of trying the average of that digest for a soup."""
    return Name(f"{SOUPS}/{safe(digest)}.trial.json")


def kind_afterwards(leaf: str) -> str | None:
    """The kind of a record that is made after the search, by its file name; None if it is none."""
    kinds = {
        ".evaluation.json": "evaluation",
        ".subnets.json": "subnets",
        ".trial.json": "trial",
        "-soup.json": "soup",
    }
    return next((kind for end, kind in kinds.items() if leaf.endswith(end)), None)


def afterwards_slot(record: Name) -> Slot:
    """The slot whose claims say who works on a record that is made after the search."""
    return Slot(f"claims/{record.rpartition('/')[2].removesuffix('.json')}")


def study_run(name: str, seed: int) -> Name:
    """The run directory of a study's run."""
    return Name(f"{STUDY_RUNS}/{safe(name)}-s{seed}")


def trash(number: int) -> Name:
    return Name(f"{TRASH}/{number:04d}")


def member_name(member: int) -> str:
    return f"m{member:02d}"


def member_number(name: str) -> int | None:
    """The member a file name such as `m07.json` or `m07.001.json` speaks of, if any."""
    found = re.match(r"m(\d+)[.-]", name)
    return int(found[1]) if found else None


class LatestClaim(NamedTuple):
    """The highest claim of a job that a listing shows, and whether it shows its end too."""

    number: int
    ended: bool


def latest_claims(names: Iterable[str]) -> dict[int, LatestClaim]:
    """The latest claim of each member's job, from the names in `claims/`; repairs are left out."""
    latest: dict[int, LatestClaim] = {}
    for name in names:
        found = _JOB_CLAIM.fullmatch(name)
        if found is not None:
            claim = LatestClaim(int(found[2]), found[3] is not None)
            latest[int(found[1])] = max(latest.get(int(found[1]), claim), claim)
    return latest


def host_of(worker: str) -> str:
    """The machine in the name of a worker."""
    return worker.rsplit("-", 3)[0]
