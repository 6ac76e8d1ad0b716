"""Reads YAML as plain data, with the place at which every key was written.

Plain words mean what YAML 1.2 says, not what PyYAML makes of them: `1e-3` and `1E5` are
numbers, `010` is ten, and `no`, `on`, `1:30` or a date are text (only true and false are
booleans).  Aliases and tags are refused, so a small file stays small and builds no objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.regular_files import read_regular

_TEXT = "tag:yaml.org,2002:str"
_NUMBER = "tag:yaml.org,2002:float"  # integers too: int and float are told apart by value
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"

_PLAIN_WORDS = {
    _NULL: r"(~|null|Null|NULL|)\Z",
    _BOOL: r"(true|True|TRUE|false|False|FALSE)\Z",
    _NUMBER: (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"
        r"|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z"
    ),
}

_CLEARER = {  # PyYAML's words for the commonest slips, and ours
    "'\\t'": "a tab; indent with spaces",
    "mapping values are not allowed": "a second colon, or a colon missing in the line before",
    "found another document": "a second document (---) begins here",
}


LIMIT = 1 << 20
"""The most bytes of a file that somebody has written by hand."""

DEPTH = 50
"""The most lists and mappings within each other; a configuration has four."""

_TOO_DEEP = f"more than {DEPTH} lists and mappings within each other"


class SourceError(PbtnasError):
    """A text that cannot be read as YAML: one sentence with its place."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Source:
    """One YAML document as data.

    Args:
        origin: Name of the file.
        value: Content: None, bool, int, float, str, list, or dict with text as keys.
        places: "file:line" by path, e.g. ("search", "population"), for every key.
        problems: Faults of single keys, a sentence each; those keys are missing in `value`.
    """

    origin: str
    value: Any
    places: Mapping[tuple[str, ...], str]
    problems: tuple[str, ...] = ()

    def place(self, *path: str) -> str:
        """Where the key was written; the whole file for a key it does not have."""
        return self.places.get(path, self.origin)


def read_with_base(path: Path) -> list[Source]:
    """The YAML file that `path` extends, if any, and then `path` itself.

    The top-level key `extends` names the other file, relative to this one; that one extends
    no other.  The key is not in the values.

    Raises `SourceError` when a file is missing, unreadable or no YAML, or the key is wrong.
    """
    source, extends = _without_extends(read_file(path))
    if extends is None:
        return [source]
    place = source.place("extends")
    if not isinstance(extends, str):
        raise SourceError(f"{place}: extends: expected the name of a file, not {extends!r}")
    try:
        base, further = _without_extends(read_file(path.parent / extends))
    except SourceError as error:
        raise SourceError(f"{error} (named by extends in {place})") from error
    if further is not None:
        raise SourceError(
            f"{base.place('extends')}: extends: only one level is allowed, "
            f"and {place} extends this file"
        )
    return [base, source]


def read_override(text: str) -> Source:
    """One "section.key=value" of the command line, the value in YAML.

    Raises `SourceError` when it has another form.
    """
    origin = f"--set {text}"
    dotted, equals, value = text.partition("=")
    section, _, key = dotted.strip().partition(".")
    if not (section and key and equals):
        raise SourceError(f"{origin}: expected section.key=value, such as run.seed=3")
    read = _read(value, origin, lambda line: origin, (section, key))
    return Source(origin, {section: {key: read.value}}, {(section, key): origin}, read.problems)


def read_file(path: Path) -> Source:
    """One YAML file as it is.  Raises `SourceError`."""
    if ".py" in path.suffix:  # also with :Class behind it
        raise SourceError(
            f"{path}: expected a YAML file; a task in a file is given by --task FILE.py:Class"
        )
    try:
        text = read_regular(path, limit=LIMIT, follow=True).decode()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is not UTF-8 text: {error.reason}") from error
    return _read(text, str(path), lambda line: f"{path}:{line}")


def _without_extends(source: Source) -> tuple[Source, Any]:
    """The source without its key `extends`, and that key's value."""
    if not isinstance(source.value, dict):
        return source, None
    values = {key: value for key, value in source.value.items() if key != "extends"}
    return replace(source, value=values), source.value.get("extends")


def _read(
    text: str, origin: str, place: Callable[[int], str], path: tuple[str, ...] = ()
) -> Source:
    try:
        node = _Loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = chr(error.character)
        raise SourceError(f"{place(line)}: cannot be read: a character {character!r}") from error
    except yaml.MarkedYAMLError as error:
        raise SourceError(_syntax_sentence(error, place)) from error
    reader = _YamlReader(place)
    value = None if node is None else reader.value(node, path)
    return Source(origin, value, reader.places, tuple(reader.problems))


def _syntax_sentence(error: yaml.MarkedYAMLError, place: Callable[[int], str]) -> str:
    line = 1 if error.problem_mark is None else error.problem_mark.line + 1
    problem = str(error.problem)
    for theirs, ours in _CLEARER.items():
        if theirs in problem:
            return f"{place(line)}: cannot be read: {ours}"
    sentence = f"{place(line)}: cannot be read: {problem}"
    # A missing quote or bracket is noticed late: where it began is the better hint.
    if error.context_mark is not None and error.context_mark.line + 1 != line:
        sentence += f" ({error.context} that began in line {error.context_mark.line + 1})"
    return sentence


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the plain words of YAML 1.2 and neither aliases nor tags."""

    yaml_implicit_resolvers = {}  # filled below, by PyYAML's own method
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not allowed"
        elif event.tag is not None:
            problem = "tags (!name) are not allowed"
        elif self._depth == DEPTH:
            problem = _TOO_DEEP
        if problem:
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        # The scanner reads ahead, and every bracket that is open costs it time at each token.
        if self.flow_level == DEPTH:
            mark = self.get_mark()
            raise yaml.scanner.ScannerError(None, None, _TOO_DEEP, mark)
        super().fetch_flow_collection_start(token)


for _tag, _pattern in _PLAIN_WORDS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), None)


class _YamlReader:
    """Turns nodes into data, and notes the places of keys and their problems on the way."""

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self.places: dict[tuple[str, ...], str] = {}
        self.problems: list[str] = []

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(i))) for i, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            plain = isinstance(key_node, yaml.ScalarNode)
            here = (*path, key_node.value if plain else "[...]")
            if key_node.tag != _TEXT:
                self._problem(line, here, "this key is not text; put it in quotes")
            elif key_node.value in lines:
                first = lines[key_node.value]
                self._problem(line, here, f"given twice, first in line {first}")
            else:
                lines[key_node.value] = line
                self.places[here] = self._place(line)
                values[key_node.value] = self.value(value_node, here)
        return values

    def _problem(self, line: int, path: tuple[str, ...], sentence: str) -> None:
        self.problems.append(f"{self._place(line)}: {'.'.join(path)}: {sentence}")


def _scalar(node: yaml.Node) -> None | bool | int | float | str:
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() == "true"
    if node.tag == _NUMBER:
        return _number(text)
    return text


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # a fraction, an exponent, .inf, .nan, or thousands of digits
        return float(re.sub(r"\.(?=[in])", "", text.lower()))
