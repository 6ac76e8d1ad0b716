"""What cannot be launched, and why."""

from __future__ import annotations

from pbtnas.errors import ExitCode, PbtnasError


class UnfitLaunch(PbtnasError):
    """What was asked for cannot be launched, or contradicts itself; one sentence."""

    exit_code = ExitCode.USAGE


class EngineTrouble(PbtnasError):
    """A tool of the other scheduler is not there, or has refused; its words are told."""

    exit_code = ExitCode.USAGE
