"""Runs a search from a script or a notebook: `pbtnas run`, in processes of its own.

The caller's process trains nothing, catches no signals and imports no torch for it.  On a terminal
the command has that terminal; elsewhere, as in a notebook, each line that it says is passed on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pbtnas.api.classes import logger_words, named_task, refuse_within_import
from pbtnas.api.opened import OpenedRun
from pbtnas.child_python import python_command, python_environment
from pbtnas.config import from_json, load
from pbtnas.engine.signals import PASSED_ON
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.store.task_code import ACCEPT

WORDS = "pbtnas: "  # with which a command begins the sentence that it ends with
MISUSE = "Error: "  # with which click begins its sentence on an argument


class CommandEnded(PbtnasError):
    """A command has ended in another way than was hoped for.

    Args:
        sentence: What it said at last.
        code: Its exit code.
    """

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code

    def __reduce__(self) -> tuple[type[CommandEnded], tuple[str, int]]:
        return type(self), (str(self), self.code)  # engines carry it to the program that called


class SearchEnded(CommandEnded):
    """The search has ended before it was finished."""


class SearchCancelled(SearchEnded):
    """An operator has cancelled the search, which the same call does not go on with."""


def run_search(
    config: Path | Mapping[str, Any],
    run_dir: Path,
    *,
    workers: int | None,
    task: type | str | None,
    devices: Sequence[str],
    overrides: Sequence[str],
    loggers: Sequence[type | str],
    scratch: Path | None,
    accept: bool,
) -> OpenedRun:
    """Search until the run is finished, or go on with it; `pbtnas.run` documents it.

    Raises `NotImportable`, `ConfigError`, `SearchEnded` and `SearchCancelled`.
    """
    refuse_within_import()
    named = named_task(task)
    if named is not None:
        overrides = [*overrides, f"task.name={named.name}"]
    with _configuration(config, overrides) as file:
        arguments = ["run", str(file), str(run_dir)]
        arguments += options("--set", overrides) + options("--device", devices)
        arguments += options("--log", [logger_words(logger) for logger in loggers])
        arguments += [] if workers is None else ["--workers", str(workers)]
        arguments += [] if scratch is None else ["--scratch", str(scratch)]
        arguments += [ACCEPT] if accept else []
        arguments += [] if named is None or named.words is None else ["--task", named.words]
        code, said = carry_out(arguments, None if named is None else named.root)
    if code != ExitCode.OK:
        raise SearchEnded(said or f"{run_dir}: the search ended with exit code {code}", code)
    run = OpenedRun(run_dir, None if named is None else named.words)
    seen = run.status()
    if seen.state == "cancelled":
        raise SearchCancelled(
            f"{run_dir}: the run was {seen.ended}; `pbtnas.open` has what was found before", code
        )
    return run


def options(option: str, values: Sequence[str]) -> list[str]:
    """The words of an option that is given once for each value."""
    return [word for value in values for word in (option, value)]


@contextmanager
def _configuration(config: Path | Mapping[str, Any], overrides: Sequence[str]) -> Iterator[Path]:
    """The file of a configuration, which is checked: a mistake is told before anything starts."""
    if isinstance(config, Path):
        load(config, overrides)
        yield config
        return
    from_json(config, "the configuration", overrides)
    with tempfile.TemporaryDirectory(prefix="pbtnas-") as directory:
        file = Path(directory) / "config.yaml"
        file.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        yield file


def carry_out(arguments: Sequence[str], root: Path | None) -> tuple[int, str]:
    """Run `pbtnas ARGUMENTS` to its end; its exit code, and the sentence that it ended with.

    An exception in this process, such as `KeyboardInterrupt`, asks it to stop, and waits until it
    has handed back what it did.  It stops too if this process ends without one.

    Args:
        arguments: Words of the command, which takes `--parent`.
        root: A directory to add to the module paths, or None.
    """
    paths = [os.environ.get("PYTHONPATH", ""), "" if root is None else str(root)]
    added = {} if root is None else {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    said = misused = ""
    with subprocess.Popen(
        python_command("-m", "pbtnas", *arguments, "--parent", str(os.getpid())),
        env=python_environment(added),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if _on_terminal() else subprocess.PIPE,
        text=True,
        errors="replace",
        # Signals of the terminal, or of a notebook, reach only this process, which passes them on.
        start_new_session=True,
    ) as process:
        try:
            for line in process.stderr or ():
                sys.stderr.write(line)
                said = line.strip().removeprefix(WORDS) if line.startswith(WORDS) else said
                misused = line.strip().removeprefix(MISUSE) if line.startswith(MISUSE) else misused
            code = process.wait()
            return code, said or (misused if code == ExitCode.USAGE else "")
        except BaseException:  # Ctrl-C above all
            process.send_signal(PASSED_ON)
            process.wait()
            raise


def _on_terminal() -> bool:
    """Whether what a process says on its standard error is seen where this one's is."""
    try:
        return sys.stderr.fileno() == 2 and os.isatty(2)
    except (AttributeError, OSError, ValueError):  # a notebook's, or none
        return False
