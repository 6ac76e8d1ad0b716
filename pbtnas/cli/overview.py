"""The list of all commands in `pbtnas --help`, in the order in which people meet them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import click

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("new", "task", "space", "config", "data", "doctor", "estimate"),
    "Search": ("run", "coordinator", "worker", "study", "launch"),
    "Look at a run": (
        *("status", "watch", "dashboard", "show", "members", "member", "workers", "worker-alive"),
        "logs",
        *("plot", "report", "log"),
    ),
    "Steer a run": (
        *("pause", "resume", "stop", "cancel", "drain", "retry", "pin", "extend", "note"),
        "controls",
    ),
    "Use what was found": ("evaluate", "soup", "subnets", "export", "play", "replay"),
    "Compare algorithms": ("compare", "ranks", "algorithm"),
    "Repair": ("fsck",),
}
OTHERS = "More commands"


def in_sections(names: Iterable[str]) -> dict[str, list[str]]:
    """The names by section, each once; those that no section lists are in one of their own."""
    rest = list(names)
    found = {}
    for section, listed in SECTIONS.items():
        found[section] = [name for name in listed if name in rest]
        rest = [name for name in rest if name not in listed]
    return {section: listed for section, listed in {**found, OTHERS: rest}.items() if listed}


def write_overview(formatter: click.HelpFormatter, commands: Mapping[str, click.Command]) -> None:
    """Write a line or two for each command: the first sentence about it, whole."""
    widest = max(map(len, commands))
    for section, names in in_sections(commands).items():
        with formatter.section(section):
            formatter.write_dl(
                [(name.ljust(widest), first_sentence(commands[name])) for name in names]
            )


def first_sentence(command: click.Command) -> str:
    """What a command does, in the sentence with which its help begins."""
    text = " ".join((command.help or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s(?=[A-Z])", text)[0].removesuffix(".")  # not behind "e.g."
