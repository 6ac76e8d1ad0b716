"""The documents are true: what they link, run, name and tabulate is there, and says the same."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from pbtnas.cli.app import cli
from pbtnas.config import EngineConfig, load, load_study
from pbtnas.errors import ExitCode
from pbtnas.records import paths, schema
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import BEAT_LENGTH
from pbtnas.records.kinds import RUN_KINDS, STUDY_KINDS, Kinds
from pbtnas.search.births import Birth
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.loading import load_task

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
README, PROTOCOL = ROOT / "README.md", ROOT / "docs" / "protocol.md"
OWN_TASK, OWN_TRAINING = ROOT / "docs" / "own-task.md", ROOT / "examples" / "own_training.py"

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?<![\w/-])(?:\.venv/bin/)?pbtnas (?=[a-z-])((?:'[^'\n]*'|[^\n#|;&<>`])*)")
MAKE = re.compile(r"(?:^|`)make ([a-z][\w-]*)", re.MULTILINE)
CONFIG = re.compile(r"configs/[\w/.-]+\.yaml")
SOURCE = re.compile(
    r"(?<![\w/.])(?:pbtnas|tests|examples|benchmarks)/(?!\d)[\w/]*(?:\.py|\.sbatch|\.yaml)?"
)
DEFAULT = re.compile(r"`engine\.(\w+)` \((\d+) s\)")


def snippets(text: str) -> Iterator[str]:
    """What is set as code and may be typed: fenced blocks but Python, and code in sentences."""
    for language, block in FENCED.findall(text):
        if language in ("", "sh", "bash", "console"):
            yield block.replace("\\\n", " ")
    yield from re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def commands(text: str) -> Iterator[str]:
    """Every `pbtnas ...` line, up to a comment, a pipe or the end of a quotation."""
    for snippet in snippets(text):
        for words in COMMAND.findall(snippet):
            yield words.rstrip().removesuffix('"').replace("[", "").replace("]", "")


def parse(command: click.Command, words: list[str]) -> None:
    """Raise `click.UsageError` or `LookupError` unless command and options exist."""
    context = click.Context(command)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if not isinstance(command, click.Group):
        if rest:
            raise LookupError(f"unexpected {rest}")
    elif rest and not rest[0].isupper():  # COMMAND stands for any
        found = command.get_command(context, rest[0])
        if found is None:
            raise LookupError(f"no command {rest[0]!r}")
        parse(found, rest[1:])


def anchors(document: Path) -> set[str]:
    """The anchors that a Markdown page has, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def rows(document: Path) -> list[list[str]]:
    """The cells of every table row of a page."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    """Every link to a file of ours finds the file, and the heading in it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", document.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


@every_document
def test_commands_exist(document: Path) -> None:
    """Every `pbtnas` line names a command that exists, with options and arguments it takes."""
    wrong = []
    for command in commands(document.read_text()):
        try:
            parse(cli, shlex.split(command))
        except (click.UsageError, LookupError, ValueError) as error:
            wrong.append(f"pbtnas {command}: {error}")
    assert wrong == []


@every_document
def test_configs_load(document: Path) -> None:
    """Every configuration that is named is there and has no error."""
    for name in set(CONFIG.findall(document.read_text())):
        study = "\nseeds:" in (ROOT / name).read_text()
        load_study(ROOT / name) if study else load(ROOT / name)


@every_document
def test_make_targets_exist(document: Path) -> None:
    """Every `make` line names a target of the Makefile."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for snippet in snippets(document.read_text()) for name in MAKE.findall(snippet)}
    assert named <= targets


@every_document
def test_source_files_exist(document: Path) -> None:
    """Every file or directory of the code that is named is there."""
    named = set(SOURCE.findall(document.read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_a_wrong_command_is_noticed() -> None:
    """The parsing of command lines refuses what the command line would refuse."""
    for words in ("wander off", "status RUN --loudly", "task chekc digits", "status A B"):
        with pytest.raises((click.UsageError, LookupError)):
            parse(cli, shlex.split(words))


def test_exit_codes_stand_in_one_page() -> None:
    """The table of docs/operating.md is that of the program; no other page has a second one."""
    page, codes = ROOT / "docs" / "operating.md", {str(code.value): code for code in ExitCode}
    told = {row[0]: row[1] for row in rows(page) if row[0] in codes}
    assert told == {text: code.meaning for text, code in codes.items()}

    meanings = set(told.values())
    others = [document for document in DOCUMENTS if document != page]
    assert [d.name for d in others if any(not meanings.isdisjoint(row) for row in rows(d))] == []


@every_document
def test_defaults_are_those_of_the_configuration(document: Path) -> None:
    """Seconds given behind the name of an engine setting are its default."""
    defaults = EngineConfig()
    for name, seconds in DEFAULT.findall(document.read_text()):
        assert getattr(defaults, name) == float(seconds), name


@pytest.mark.parametrize(
    ("what", "record"),
    [
        ("manifest", schema.Manifest),
        ("a job in it", schema.Job),
        ("result", schema.Result),
        ("selection", schema.Selected),
        ("a birth in it", Birth),
        ("birth", schema.Child),
        ("a champion in it", schema.Champion),
        ("trial", schema.Trial),
        ("soup", schema.Soup),
        ("a line of its trace", schema.Tried),
    ],
)
def test_the_protocol_gives_the_fields_of_every_record(what: str, record: Any) -> None:
    """The table of cores has exactly the fields of the code, in their order."""
    told = next(row[1] for row in rows(PROTOCOL) if row[0] == what)
    assert re.findall(r"`(\w+)`", told) == [field.name for field in fields(record)]


def test_the_protocol_gives_the_envelope_of_a_record() -> None:
    """Its table has every key of an encoded record, and no other."""
    text = PROTOCOL.read_text().partition("## Records")[2].partition("Cores")[0]
    written = re.findall(rb'"(\w+)":', encode(Record("kind", "run", {}), "name"))
    assert sorted(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) == sorted(
        name.decode() for name in written
    )


@pytest.mark.parametrize("kinds", [RUN_KINDS, STUDY_KINDS], ids=["run", "study"])
def test_the_protocol_gives_every_kind_of_file(kinds: Kinds) -> None:
    """Its tables of kinds are the list that fsck goes by."""
    told = [row for row in rows(PROTOCOL) if len(row) == 3]
    listed = [
        [f"`{kind.name}`{' *' if kind.ages else ''}", kind.role.value, kind.again] for kind in kinds
    ]
    begins = told.index(listed[0])

    assert told[begins : begins + len(listed)] == listed
    assert not any(row[0].startswith("`") for row in told[begins + len(listed) :][:1])


def test_the_protocol_gives_every_name() -> None:
    """Its picture of the run directory spells names as the code does."""
    job, repair = paths.job_slot(12, 7), paths.repair_slot(12, 7)
    names = [
        *(paths.FORMAT, paths.RUN, paths.CONFIG, paths.HEAD, paths.FINAL, paths.BEST),
        *(paths.COORDINATOR_LOCK, paths.claim(paths.TERM, 1), paths.beat(paths.TERM, 1)),
        *(paths.manifest(12), paths.selection(12), paths.result(12, 7), paths.birth(12, 5)),
        *(paths.claim(job, 1), paths.beat(job, 1), paths.end(job, 1), paths.claim(repair, 1)),
        *(paths.checkpoint(12, "DIGEST"), paths.attempt(12, 7, 1), paths.product("NAME")),
        *(paths.evaluation("DIGEST"), paths.metrics(7), paths.worker("WORKER"), paths.trash(9)),
        *(paths.soup("best-ever-soup"), paths.trial("DIGEST"), paths.soup_checkpoint("DIGEST")),
        *(f"{directory}/" for directory in (*paths.TOP_DIRECTORIES, paths.generation(12))),
    ]
    text = PROTOCOL.read_text()
    missing = [n for n in names if n.removeprefix(paths.generation(12) + "/") not in text]
    assert missing == []
    assert f"{BEAT_LENGTH} bytes" in text


def test_the_task_of_the_readme_is_a_task(tmp_path: Path) -> None:
    """The file that a newcomer copies from the README can be trained and scored."""
    blocks = dict(FENCED.findall(README.read_text()))
    file = tmp_path / "my_task.py"
    file.write_text(blocks["python"])
    task = load_task("MyTask", {}, task_file=f"{file}:MyTask")
    task.prepare(RehearsalProducts(tmp_path))

    trainee = task.create((1, 2), 0)
    train(trainee, 1, Rehearsal(tmp_path))

    assert 0 < evaluate(trainee, Rehearsal(tmp_path)).score <= 1


def test_the_training_loop_of_the_page_is_the_examples() -> None:
    """The code is that of a file which tests/tasks/test_members.py trains, checks and scores."""
    page = OWN_TASK.read_text().partition("## A training loop of your own")[2].partition("\n## ")[0]
    blocks = [block for language, block in FENCED.findall(page) if language == "python"]
    example = OWN_TRAINING.read_text()
    assert len(blocks) == 2
    assert blocks[0] in example
    assert textwrap.indent(blocks[1], "    ") in example
