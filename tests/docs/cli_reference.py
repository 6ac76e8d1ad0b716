"""Writes docs/cli.md from the commands: `python -m tests.docs.cli_reference`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from pbtnas.cli.app import cli
from pbtnas.cli.examples import EXAMPLES
from pbtnas.cli.overview import first_sentence, in_sections

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMAND = "python -m tests.docs.cli_reference"

HEAD = f"""\
# The command line

`{COMMAND}` makes this page from the code, and a test compares the two.
`pbtnas COMMAND --help` says the same. What a command exits with is in [the table of exit
codes](operating.md#exit-codes).

The examples are of the folder that `pbtnas new my_search` writes, typed inside it.
`export PBTNAS_TASK=my_search.py:MySearch` saves typing `--task`.

## Completion

The shell completes commands, options, their values and paths, once its start-up file has the line
for it:

| shell | file | line |
|---|---|---|
| bash (4.4 or newer) | `~/.bashrc` | `eval "$(_PBTNAS_COMPLETE=bash_source pbtnas)"` |
| zsh | `~/.zshrc`, behind `compinit` | `eval "$(_PBTNAS_COMPLETE=zsh_source pbtnas)"` |
| fish | `~/.config/fish/config.fish` | `_PBTNAS_COMPLETE=fish_source pbtnas \\| source` |

In a virtual environment, `pbtnas` has to be on the path when the line is read."""


def all_commands() -> dict[str, click.Command]:
    """Every command by the words that call it, without `pbtnas`: as they stand in the page."""
    context = click.Context(cli)
    names = [name for listed in in_sections(cli.list_commands(context)).values() for name in listed]
    return {path: command for name in names for path, command in _with_below(name)}


def _with_below(name: str) -> Iterator[tuple[str, click.Command]]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            yield f"{name} {below}", command.commands[below]


def page() -> str:
    """The whole page."""
    commands = all_commands()
    parts = [HEAD]
    for section, names in in_sections(n for n in commands if " " not in n).items():
        parts.append(f"## {section}")
        parts.append("\n".join(_line(name, commands[name]) for name in names))
        for path, command in commands.items():
            if path.partition(" ")[0] in names:
                parts.append(_about(path, command))
    return "\n\n".join(parts) + "\n"


def _line(name: str, command: click.Command) -> str:
    return textwrap.fill(
        f"- [{name}](#{name}): {first_sentence(command)}", 100, subsequent_indent="  "
    )


def _about(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"pbtnas {path}")
    usage = " ".join([f"pbtnas {path}", *command.collect_usage_pieces(context)])
    parts = [f"### {path}", f"```text\n{usage}\n```", _prose(command)]
    if not isinstance(command, click.Group):
        parts += _options(command, context)
    if path in EXAMPLES:
        parts.append("\n".join(["```", *EXAMPLES[path], "```"]))
    return "\n\n".join(parts)


def _prose(command: click.Command) -> str:
    """The text of a command's help, filled as the other pages are."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        textwrap.fill(" ".join(paragraph.split()), 100, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _options(command: click.Command, context: click.Context) -> list[str]:
    options = [p for p in command.params if isinstance(p, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [f"| `{_cell(words)}` | {_cell(meaning)} |" for words, meaning in records]
    return ["\n".join(["| option | |", "|---|---|", *rows])] if rows else []


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
