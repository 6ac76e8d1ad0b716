"""The errors of the package: one root, one exit code each, and one place that catches them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

import pbtnas
from pbtnas.cli.app import _Group
from pbtnas.errors import ExitCode, PbtnasError

NOT_ERRORS = {
    # They leave a loop or a function from deep inside it, and are caught there.
    "pbtnas.config.fields._Unfit",
    "pbtnas.engine.evaluator._Missing",
    "pbtnas.protocol.operations.AskedToStop",
    "pbtnas.protocol.term.Leave",
    "pbtnas.store.lines.NoLines",
    "pbtnas.training.snapshots.Superseded",
    # They pass through a task's code, and must not be caught by its `except Exception`.
    "pbtnas.tasks.base.HandedBack",
    "pbtnas.tasks.checking.rehearsal.Interrupted",
    # What a task raises to say how training ended: an outcome, which is recorded.
    "pbtnas.tasks.base.Diverged",
}
USAGE = {
    *("ChangedConfig", "ChangedStudy", "ComparisonError", "ConfigError", "DeviceBusy"),
    *("ExtractorError", "MistakeInTask", "NoEncoder", "NoObjective", "NoRenderer", "NoSoups"),
    *("NoTime", "NoTimeLimit", "EngineTrouble", "UnfitLaunch"),
    *("BadAddress", "BadEndpoint", "OtherPlace", "Refused"),
    *("NoSubnets", "UnknownLogger", "UnknownObjective"),
    *("NoSuchDevice", "NoSuchPart", "NotARun", "NotAnExport", "NothingToShow", "NotYetARun"),
    *("BadReference", "MissingExtra", "NoFigure", "NoSchedule", "NotImportable", "NothingToReplay"),
    *(
        "OtherCode",
        "OtherSpace",
        "SourceError",
        "StateOfOtherCode",
        "StatisticsError",
        "TableError",
    ),
    *(
        "TaskDoesNotFit",
        "TaskError",
        "UnfitOptions",
        "TaskFault",
        "UnfitDevice",
        "UnfitName",
        "UnfitPopulation",
        "UnfitControl",
        "UnfitProcessor",
        "UnfitArchitecture",
        "UnfitSchedule",
        "UnsaidError",
    ),
}
UNFIT = {"DataTrouble", "ExtractorTrouble", "MachineTrouble"}


def defined() -> Iterator[type[BaseException]]:
    """Every exception class that a module of the package defines."""
    for module in pkgutil.walk_packages(pbtnas.__path__, "pbtnas."):
        if module.name.endswith("__main__"):
            continue  # importing it runs the command
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, BaseException) and found.__module__ == module.name:
                yield found


def test_every_exception_has_the_one_root() -> None:
    """What a user can meet is a `PbtnasError`; what else there is has a reason in the list."""
    others = {f"{c.__module__}.{c.__qualname__}" for c in defined() if not is_error(c)}

    assert others == NOT_ERRORS


def test_exit_codes_of_errors() -> None:
    """What the user has to change is 2, a study that somebody else conducts 3, trouble of the
    machine 69, the rest 1."""
    found = {c.__name__: c.exit_code for c in defined() if is_error(c)}
    expected = dict.fromkeys(found, ExitCode.FAILED)
    expected |= {**dict.fromkeys(USAGE, ExitCode.USAGE), "StudyHeld": ExitCode.HELD}
    expected |= dict.fromkeys(UNFIT, ExitCode.UNFIT)

    assert found == expected


def test_the_documented_exceptions_of_load_are_where_it_says() -> None:
    """Every class that the docstring of `pbtnas.load` names can be imported from there."""
    words = (pbtnas.load.__doc__ or "").split("Raises")[1].split("`")[1::2]

    assert len(words) == 6
    for name in words:
        module, _, leaf = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), leaf), PbtnasError)


@pytest.mark.parametrize("code", [ExitCode.FAILED, ExitCode.USAGE, ExitCode.HELD])
def test_a_command_ends_with_the_sentence_and_the_code_of_its_error(code: ExitCode) -> None:
    """One sentence on stderr, nothing on stdout, no traceback; also from a group in the group."""

    class Refused(PbtnasError):
        exit_code = code

    @click.group(cls=_Group)
    def outer() -> None:
        """Catches."""

    @outer.group()
    def inner() -> None:
        """Catches nothing."""

    @inner.command()
    def refuse() -> None:
        raise Refused("it is so")

    result = CliRunner().invoke(outer, ["inner", "refuse"])

    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "pbtnas: it is so\n")


def is_error(found: type[BaseException]) -> bool:
    return issubclass(found, PbtnasError)
