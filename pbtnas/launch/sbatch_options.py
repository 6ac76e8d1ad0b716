"""The options of sbatch that a user gives besides: checked, and as a script has to write them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from pbtnas.launch.errors import UnfitLaunch

OURS = {
    "array": "--workers and --at-once set it",
    "job-name": "`pbtnas launch list` finds the jobs by it",
    "output": "logs lie in the run directory",
    "error": "logs lie in the run directory",
    "open-mode": "logs are appended to",
    "requeue": "workers are queued again",
    "no-requeue": "workers are queued again",
    "chdir": "jobs begin in this directory",
    "time": "--time sets it",
    "wrap": "the script is what runs",
    "wait": "the command leaves, and waits for no job",
}
"""Options of sbatch that a launch sets itself, and why; `--sbatch` may have any other."""

_KEY = re.compile(r"[a-z][a-z0-9-]*")
_SHORT = {
    **{"A": "account", "B": "extra-node-info", "C": "constraint", "D": "chdir", "F": "nodefile"},
    **{"G": "gpus", "H": "hold", "J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes"},
    **{"O": "overcommit", "S": "core-spec", "W": "wait", "a": "array", "b": "begin"},
    **{"c": "cpus-per-task", "d": "dependency", "e": "error", "i": "input", "k": "no-kill"},
    **{"m": "distribution", "n": "ntasks", "o": "output", "p": "partition", "q": "qos"},
    **{"s": "oversubscribe", "t": "time", "w": "nodelist", "x": "exclude"},
}
"""Those of sbatch's short options that are about a job."""
_LISTS = ("gres", "tres-per-job", "tres-per-node", "tres-per-socket", "tres-per-task")
_GPU = re.compile(r"(gres[:/])?(gpu|mps|shard)\b.*")  # a part of such a list
_FOR_GPUS = re.compile(r"gpus(-per-\w+)?|gpu-(bind|freq)|(cpus|mem|ntasks)-per-gpu|gres-flags")
_PLAIN = re.compile(r"""[^\s"'\\#]*""")
_QUOTED = re.compile(r"""\"([^"\\]|\\.)*\"|'[^'\\]*'""")


def checked_options(
    options: Iterable[str], where: str, *, may: Collection[str] = ()
) -> tuple[str, ...]:
    """The options KEY=VALUE of sbatch, unknown ones too: Slurm knows more than we do.

    Args:
        options: What the user has given.
        where: The option of `pbtnas launch slurm` that they were given with.
        may: Those of `OURS` that may be given nevertheless.

    Raises `UnfitLaunch` for what is no option, and for one that the launch sets itself.
    """
    found = []
    for option in options:
        key, _, value = option.partition("=")
        key = re.sub(r"^-(?=.$)|^--", "", key)
        key = _SHORT.get(key, key)
        if not _KEY.fullmatch(key):
            raise UnfitLaunch(f"{where} {option}: expected KEY or KEY=VALUE, as in account=physics")
        if key in OURS and key not in may:
            raise UnfitLaunch(f"{where} {option}: {OURS[key]}")
        checked_value(value, f"{where} {key}")
        found.append(f"{key}={value}" if value else key)
    return tuple(found)


def check_once(option: str, sbatch: Iterable[str], keys: Collection[str] = ()) -> None:
    """Raise `UnfitLaunch` where `--sbatch` has a word on what an option of the launch sets.

    Args:
        option: The option of `pbtnas launch slurm`, with its value.
        sbatch: What `--sbatch` gave.
        keys: Options of sbatch for the same; none means those that ask for GPUs.
    """
    for other in sbatch:
        if other.partition("=")[0] in keys if keys else asks_for_gpus(other):
            raise UnfitLaunch(f"{option} and --sbatch {other}: expected one of them")


def asks_for_gpus(option: str) -> bool:
    """Whether an option says how many GPUs a job has."""
    key, _, value = option.partition("=")
    parts = _parts(value) if key in _LISTS else []
    return bool(re.fullmatch(r"gpus(-per-\w+)?", key)) or any(map(_GPU.fullmatch, parts))


def without_gpus(options: Iterable[str]) -> list[str]:
    """The options of a job that needs no GPU: without all that is about one."""
    found = []
    for option in options:
        key, _, value = option.partition("=")
        if asks_for_gpus(option) and key in _LISTS:
            others = [part for part in _parts(value) if not _GPU.fullmatch(part)]
            found += [f"{key}={','.join(others)}"] if others else []
        elif not _FOR_GPUS.fullmatch(key):
            found.append(option)
    return found


def with_gpus(gpus: int, options: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of `gres` of a job with so many GPUs, and the other options.

    It is None without GPUs, and where the options ask for GPUs themselves.
    """
    if not gpus or any(map(asks_for_gpus, options)):
        return None, list(options)
    listed = [option for option in options if option.startswith("gres=")]
    others = _parts(listed[-1].removeprefix("gres=")) if listed else []  # the last one counts
    whole = ",".join([f"gpu:{gpus}", *others])
    return whole, [option for option in options if option not in listed]


def _parts(value: str) -> list[str]:
    return value.strip("\"'").split(",")


def checked_value(value: str, where: str) -> str:
    """The value itself.  Raises `UnfitLaunch` for what no line of a script can hold."""
    if not value.isprintable():
        raise UnfitLaunch(f"{where}: expected one line without control characters, not {value!r}")
    return value


def value_in_script(value: str) -> str:
    """A value as sbatch reads it in a directive: in quotes where blanks or # would end it.

    What the user has quoted stays as it is.
    """
    if _PLAIN.fullmatch(value) or _QUOTED.fullmatch(value):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'
