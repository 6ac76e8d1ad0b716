"""The reference of the command line, and the examples in the help of every command, are true."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.cli.examples import EXAMPLES
from pbtnas.cli.overview import OTHERS, SECTIONS, in_sections
from tests.docs.cli_reference import COMMAND, PAGE, all_commands, page
from tests.docs.test_docs import commands, parse

COMMANDS = all_commands()


def test_the_reference_is_that_of_the_code() -> None:
    """docs/cli.md has every command with its options as they are."""
    assert PAGE.read_text() == page(), f"docs/cli.md is out of date; run `{COMMAND}`"


@pytest.mark.parametrize("path", ["", *COMMANDS])
def test_the_help_of_every_command_ends_with_examples_of_it(path: str) -> None:
    """Each example calls this command, or one below it, with words and values that it takes."""
    help_text = CliRunner().invoke(cli, [*path.split(), "--help"], prog_name="pbtnas").output

    examples = EXAMPLES.get(path, ())
    assert examples, f"add an example of `pbtnas {path}` to pbtnas/cli/examples.py"
    assert "Examples:\n" + "".join(f"    {line}\n" for line in examples) in help_text
    for example in examples:
        assert example.startswith(f"pbtnas {path}".rstrip())
        (words,) = commands(f"```\n{example}\n```")
        parse(cli, shlex.split(words))
        check_values(cli, shlex.split(words))


def check_values(command: click.Command, words: list[str]) -> None:
    """Raise `click.BadParameter` for a value that the command does not take; paths need not be."""
    context = click.Context(command)
    values, rest, _ = command.make_parser(context).parse_args(words)
    if isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None
        return check_values(found, rest[1:])
    for parameter in command.params:
        if not isinstance(parameter.type, click.Path):
            parameter.process_value(context, values.get(parameter.name))


def test_a_wrong_value_in_an_example_is_noticed() -> None:
    """As the command line would refuse it."""
    for words in ("run C R --workers 0", "new x --kind strange", "subnets R --at 5,1"):
        with pytest.raises(click.BadParameter):
            check_values(cli, words.split())


def test_examples_are_of_commands_that_there_are() -> None:
    """An example of a command that is gone goes with it."""
    assert EXAMPLES.keys() - {"", *COMMANDS} == set()


def test_every_command_is_listed_in_a_section() -> None:
    """`pbtnas --help` tells each once, under what it is for."""
    listed = in_sections(name for name in COMMANDS if " " not in name)

    assert listed.get(OTHERS, []) == [], "enter them in pbtnas/cli/overview.py"
    names = [name for names in SECTIONS.values() for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pbtnas eva", "evaluate"),
        ("pbtnas task ch", "check"),
        ("pbtnas new mine --kind g", "gan"),
        ("pbtnas compare --form", "--format"),
        ("pbtnas task check ''", "file,"),
        ("pbtnas export run --task my", "file,my"),
    ],
)
def test_the_shell_completes(
    words: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, those below them, options and their values: as the lines of the page ask for."""
    monkeypatch.setenv("_PBTNAS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))

    with pytest.raises(SystemExit) as end:
        cli(prog_name="pbtnas")

    assert end.value.code == 0
    assert expected in capsys.readouterr().out.replace("plain,", "").splitlines()
