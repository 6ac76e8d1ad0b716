"""Configuration: what it accepts, what it says about everything else, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.compare.budget import granted_epochs
from pbtnas.config import (
    Config,
    ConfigError,
    EngineConfig,
    RunConfig,
    SearchConfig,
    TaskConfig,
    describe,
    difference,
    from_json,
    load,
    load_study,
    number,
    outcome,
    parse,
    setting,
    to_json,
)
from pbtnas.config.fields import describe_fields
from pbtnas.search.algorithms import ALGORITHMS
from tests.unreadable import SORTS, plant

GOOD = """\
task:
  name: digits
search:
  population: 12
  generations: 3
  epochs: 2
"""
MINIMAL = {"population": 12, "generations": 3, "epochs": 2}
CONFIGS = Path(__file__).parents[2] / "configs"
SEARCH_KEYS = ", ".join(f.name for f in fields(SearchConfig))

Loader = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Writes x.yaml (and files named by keyword) and loads it, so that places are short."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str, *overrides: str, **others: str) -> Config:
        for name, other in (others | {"x": text}).items():
            Path(f"{name}.yaml").write_text(other)
        return load(Path("x.yaml"), overrides)

    return write_and_load


def problems(act: Callable[[], object]) -> list[str]:
    """The problems of the `ConfigError` that `act` raises."""
    with pytest.raises(ConfigError) as caught:
        act()
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_defaults_fill_what_a_file_does_not_say(read: Loader) -> None:
    """A minimal file gives the defaults of the paper and of the engine."""
    assert read(GOOD) == Config(
        TaskConfig("digits"),
        SearchConfig(population=12, generations=3, epochs=2),
        RunConfig(seed=0),
        EngineConfig(lease_s=60.0),
    )


def test_the_first_generation_may_train_longer() -> None:
    """`first_epochs` holds for generation 0 alone, and null means as in all others."""
    search = SearchConfig(population=12, generations=3, epochs=2, first_epochs=17)

    assert [search.epochs_of(generation) for generation in range(3)] == [17, 2, 2]
    assert replace(search, first_epochs=None).epochs_of(0) == 2


def test_the_budget_is_the_epochs_of_all_members_in_all_generations() -> None:
    """The configuration and its stored JSON grant the same, the first generation included."""
    search = SearchConfig(population=12, generations=3, epochs=2, first_epochs=17)

    for each in (search, replace(search, first_epochs=None)):
        spent = 12 * sum(each.epochs_of(generation) for generation in range(3))
        assert each.granted_epochs() == granted_epochs(asdict(each)) == spent


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_of_the_repository_loads(path: Path) -> None:
    """No file of configs/ has a fault, and its header gives the command that runs it."""
    load(path)
    assert f"pbtnas run configs/{path.name} " in path.read_text()


def test_algorithms_are_those_of_the_search() -> None:
    """The config names exactly the algorithms that exist, and the one that was meant."""
    said = [
        f"search.algorithm: expected one of {', '.join(ALGORITHMS)} (is 'pbt-nas' meant?), "
        'not "pbtnas"'
    ]
    wrong = MINIMAL | {"algorithm": "pbtnas"}
    assert problems(lambda: parse(SearchConfig, wrong, "search")) == said


# ---- what YAML means here ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("'3'", "3"),
        ("~", None),
        ("[1, {a: x}]", [1, {"a": "x"}]),
    ],
)
def test_plain_words_are_those_of_yaml_1_2(read: Loader, written: str, value: object) -> None:
    """Numbers with exponents are numbers, and Norway is no boolean, in files and overrides."""
    for config in (
        read(GOOD.replace("digits", f"digits\n  option: {written}")),
        read(GOOD, f"task.option={written}"),
    ):
        option = config.task.options["option"]
        assert option == value and type(option) is type(value)


def test_an_integral_float_is_an_integer(read: Loader) -> None:
    """1e3 is accepted where an integer is expected, and an integer where a number is."""
    config = read(GOOD + "  tau: 0\nrun:\n  seed: 1e3\n")

    assert (repr(config.run.seed), repr(config.search.tau)) == ("1000", "0.0")


# ---- extends and overrides -----------------------------------------------------------------


def test_extends_merges_sections_key_by_key(read: Loader) -> None:
    """The file's own keys win; sections it does not have, and other keys, are the base's."""
    config = read("extends: base.yaml\nsearch:\n  population: 24\nrun:\n  seed: 3\n", base=GOOD)

    assert config.task.name == "digits"
    assert (config.search.population, config.search.generations, config.run.seed) == (24, 3, 3)


def test_extends_is_relative_to_the_file(tmp_path: Path) -> None:
    """The base is looked for beside the file, wherever the command was given."""
    (tmp_path / "base.yaml").write_text(GOOD)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.yaml").write_text("extends: ../base.yaml\n")

    assert load(tmp_path / "sub" / "x.yaml").search.population == 12


def test_a_problem_is_reported_where_it_was_written(read: Loader) -> None:
    """A fault of the base names the base's line; a fault of a key set twice names the last."""
    base = GOOD.replace("12", "0").replace("epochs: 2", "epochs: 0")
    said = problems(lambda: read("extends: base.yaml\nsearch:\n  epochs: -1\n", base=base))

    assert said == [
        "base.yaml:4: search.population: expected an integer of at least 1, not 0",
        "x.yaml:3: search.epochs: expected an integer of at least 1, not -1",
    ]


def test_overrides_win_in_order(read: Loader) -> None:
    """An override beats the file, the last one beats the others, and it mends a faulty key."""
    config = read(GOOD.replace("12", "x"), "search.population=6", "search.population=8")

    assert config.search.population == 8


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run.sed=3", "run.sed: unknown key; did you mean 'seed'? "
         "allowed: seed, threads, checkpoint_hash, cpu_capability"),
        ("rn.seed=3", "rn: unknown section; did you mean 'run'? "
         "allowed: task, search, run, engine, logging, extends"),
        ("search.archive=1", "search.archive: expected an integer of at least 2, not 1"),
        ("search.objectives=[score, fid]",
         "search.objectives: expected larger or smaller at the end of 'fid', as in "
         "'parameters smaller', not [\"score\", \"fid\"]"),
        ("search.objectives=[score, score]",
         "search.objectives: expected every objective once, but 'score' is there twice, "
         "not [\"score\", \"score\"]"),
        ("seed=3", "expected section.key=value, such as run.seed=3"),
        ("run.seed", "expected section.key=value, such as run.seed=3"),
        ("run.seed=", "run.seed: expected an integer of at least 0, not null"),
        ("run.seed=1.5", "run.seed: expected an integer of at least 0, not 1.5"),
        ("run.seed=[1", "cannot be read: expected ',' or ']', but got '<stream end>'"),
        ("task.a={b: 1, b: 2}", "task.a.b: given twice, first in line 1"),
    ],
)  # fmt: skip
def test_overrides_are_checked_like_keys(read: Loader, override: str, said: str) -> None:
    """A faulty override is named as it was typed."""
    assert problems(lambda: read(GOOD, override)) == [f"--set {override}: {said}"]


# ---- every fault, word for word ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["x.yaml: expected the sections task, search, run, engine, logging, but it is empty"]),
        ("# nothing\n",
         ["x.yaml: expected the sections task, search, run, engine, logging, but it is empty"]),
        ("- a\n", ['x.yaml: expected the sections task, search, run, engine, logging, not ["a"]']),
        (GOOD + "run:\n",
         ["x.yaml:7: run: expected keys below this section, "
          "found none; indent them, or leave it out"]),
        (GOOD + "run: 3\n", ["x.yaml:7: run: expected keys below this section, not 3"]),
        (GOOD.replace("search", "serch"),
         ["x.yaml:3: serch: unknown section; did you mean 'search'? "
          "allowed: task, search, run, engine, logging, extends"]),
        (GOOD + "seed: 3\n", ["x.yaml:7: seed: a key of the section run; indent it below run:"]),
        (GOOD + "  populaton: 12\n",
         ["x.yaml:7: search.populaton: unknown key; did you mean 'population'? "
          f"allowed: {SEARCH_KEYS}"]),
        (GOOD + "  zzz: 12\n", [f"x.yaml:7: search.zzz: unknown key; allowed: {SEARCH_KEYS}"]),
        (GOOD.replace("  population: 12\n", ""),
         ["x.yaml:3: search.population: missing; expected an integer of at least 1"]),
        ("task:\n  name: digits\n",
         [f"x.yaml: search.{key}: missing; expected an integer of at least {low}"
          for key, low in (("population", 1), ("generations", 1), ("epochs", 1))]),
        (GOOD.replace("name", "nmae"),
         ["x.yaml:1: task.name: missing; expected text; is 'nmae' meant to be it?"]),
        (GOOD.replace("digits", "true"),
         ["x.yaml:2: task.name: expected text, not true; put it in quotes"]),
        (GOOD.replace("12", "yes"),
         ['x.yaml:4: search.population: expected an integer of at least 1, not "yes"']),
        (GOOD + "run:\n  seed: true\n",
         ["x.yaml:8: run.seed: expected an integer of at least 0, not true"]),
        (GOOD + "run:\n  checkpoint_hash: sha265\n",
         ["x.yaml:8: run.checkpoint_hash: expected one of xxh3-128, blake3, sha256, "
          "not \"sha265\"; did you mean 'sha256'?"]),
        (GOOD + "  tau: 0.6\n", ["x.yaml:7: search.tau: expected a number from 0 to 0.5, not 0.6"]),
        (GOOD + "  tau: .inf\n",
         ["x.yaml:7: search.tau: expected a number from 0 to 0.5, not Infinity"]),
        (GOOD + "  tau: .nan\n",
         ["x.yaml:7: search.tau: expected a number from 0 to 0.5, not NaN"]),
        (GOOD + "  skip_selection: 1\n",
         ["x.yaml:7: search.skip_selection: expected a list, each item an integer of at least 0, "
          "not 1"]),
        (GOOD.replace("12", "1"),
         ["x.yaml:4: search.population: expected at least 2 with search.algorithm pbt-nas, "
          "not 1"]),
        (GOOD + "  parents: 13\n",
         ["x.yaml:7: search.parents: expected at most the population, which is 12, not 13"]),
        (GOOD + "  replaced: 12\n",
         ["x.yaml:7: search.replaced: expected less than the population, which is 12, not 12"]),
        (GOOD + "  skip_selection: [0, 0]\n",
         ["x.yaml:7: search.skip_selection: expected every generation once, not [0, 0]"]),
        (GOOD + "  skip_selection: [2]\n",
         ["x.yaml:7: search.skip_selection: expected generations before the last, which is 2, "
          "not [2]"]),
        (GOOD.replace("12", "1") + "  algorithm: random-search\n  schedule: [[0], [1]]\n",
         ["x.yaml:8: search.schedule: expected 3 architectures, one for each generation, not "
          "[[0], [1]]"]),
        (GOOD + "  schedule: [[0], [1], [1]]\n  start: every\n",
         ["x.yaml:4: search.population: expected 1 with search.schedule, which is that of a "
          "single member, not 12",
          "x.yaml:3: search.algorithm: expected random-search with search.schedule, which leaves "
          "nothing to decide, not \"pbt-nas\"",
          "x.yaml:8: search.start: expected stratified with search.schedule, which says how "
          "generation 0 starts, not \"every\""]),
        (GOOD + "engine:\n  beat_s: 25\n",
         ["x.yaml:7: engine.lease_s: expected at least 3 times engine.beat_s, which is 25.0, "
          "not 60.0"]),
        (GOOD.replace("digits", "digits\n  rates: [1, .inf]"),
         ["x.yaml:3: task.rates: expected finite numbers, text, lists and mappings, "
          "not [1, Infinity]"]),
        (GOOD + "  population: 13\n",
         ["x.yaml:7: search.population: given twice, first in line 4"]),
        (GOOD + "task:\n  name: gan\n", ["x.yaml:7: task: given twice, first in line 1"]),
        (GOOD + "  3: 4\n", ["x.yaml:7: search.3: this key is not text; put it in quotes"]),
        (GOOD + "  [a]: 4\n", ["x.yaml:7: search.[...]: this key is not text; put it in quotes"]),
        ("task:\n\tname: digits\n", ["x.yaml:2: cannot be read: a tab; indent with spaces"]),
        ("search:\n  population 12\n  epochs: 2\n",
         ["x.yaml:3: cannot be read: a second colon, or a colon missing in the line before"]),
        ("task:\n  name: 'digits\n",
         ["x.yaml:3: cannot be read: found unexpected end of stream "
          "(while scanning a quoted scalar that began in line 2)"]),
        ("a: &x 1\nb: *x\n", ["x.yaml:2: cannot be read: aliases (*name) are not allowed"]),
        ("a: !!python/object:os.system 1\n",
         ["x.yaml:1: cannot be read: tags (!name) are not allowed"]),
        (GOOD + "---\na: 1\n", ["x.yaml:7: cannot be read: a second document (---) begins here"]),
        ("a: 1\nb: \0\n", ["x.yaml:2: cannot be read: a character '\\x00'"]),
        ("extends: [a]\n", ["x.yaml:1: extends: expected the name of a file, not ['a']"]),
        ("extends: no.yaml\n",
         ["no.yaml: cannot be read: No such file or directory (named by extends in x.yaml:1)"]),
        ("extends: x.yaml\n",
         ["x.yaml:1: extends: only one level is allowed, and x.yaml:1 extends this file"]),
    ],
)  # fmt: skip
def test_a_fault_is_one_clear_sentence(read: Loader, text: str, said: list[str]) -> None:
    """File, line, key, expectation and value are all there, and nothing else is reported."""
    assert problems(lambda: read(text)) == said


def test_all_faults_are_reported_at_once(read: Loader) -> None:
    """One attempt tells everything that is wrong, in every section and override."""
    text = GOOD.replace("12", "0") + "  tua: 1\nrun:\n  seed: -1\nengine:\n  beat_s: x\n"

    assert len(problems(lambda: read(text, "run.sed=3", "oops"))) == 6


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, a directory and bytes that are no text are problems, not tracebacks."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff")

    for path, said in (
        (tmp_path / "no", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (binary, "is not UTF-8 text: invalid start byte"),
        (
            tmp_path / "a.py",
            "expected a YAML file; a task in a file is given by --task FILE.py:Class",
        ),
        (
            tmp_path / "a.py:T",
            "expected a YAML file; a task in a file is given by --task FILE.py:Class",
        ),
    ):
        assert problems(partial(load, path)) == [f"{path}: {said}"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("sort", SORTS)
def test_a_configuration_is_a_file(tmp_path: Path, sort: str) -> None:
    """Whatever else has its name is refused in one sentence, not waited for or read for hours; a
    link is followed."""
    path = tmp_path / "x.yaml"
    plant(path, sort)
    (tmp_path / "y.yaml").write_text("extends: x.yaml\n" + GOOD)

    for name, act in (("x.yaml", load), ("x.yaml", load_study), ("y.yaml", load)):
        (problem,) = problems(partial(act, tmp_path / name))[:1]
        if sort == "link":
            assert "cannot be read: No such" not in problem
        else:
            assert problem.startswith(f"{path}: cannot be read: ")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 3000 + "}" * 3000,
        "- " * 3000 + "a",
        "\n".join(" " * depth + "a:" for depth in range(300)),
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        GOOD + "# " + "x" * (1 << 20),
        GOOD.replace("12", "1e999"),
        GOOD.replace("12", "9" * 5000),
        GOOD.replace("12", ".nan"),
    ],
    ids=["lists", "mappings", "items", "block", "bomb", "long", "infinite", "digits", "nan"],
)
def test_a_file_made_to_harm_is_refused(read: Loader, text: str) -> None:
    """Depth, size and numbers end as one clear sentence with its place."""
    (problem,) = problems(lambda: read(text))

    assert problem.startswith("x.yaml")
    assert len(problem) < 300


KEYS = [
    (section, field.name)
    for section, cls in (("search", SearchConfig), ("run", RunConfig), ("engine", EngineConfig))
    for field in fields(cls)
]


@given(st.sampled_from(KEYS), st.integers(1), st.booleans())
def test_a_misspelt_key_gets_the_right_suggestion(
    where: tuple[str, str], at: int, doubled: bool
) -> None:
    """Whichever key has a letter doubled or left out, the one that was meant is suggested."""
    section, key = where
    at = 1 + at % (len(key) - 1)
    typo = key[:at] + key[at - 1 if doubled else at + 1 :]
    good: dict[str, dict[str, Any]] = {"task": {"name": "digits"}, "search": MINIMAL}
    broken = good | {section: good.get(section, {}) | {typo: 1}}

    (said,) = problems(lambda: from_json(broken, "x"))

    assert said.startswith(f"x: {section}.{typo}: unknown key; did you mean {key!r}? allowed: ")


# ---- options of a task ---------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    """One field of each type that a task may declare."""

    images: int = number(min=1, max=100, help="How many.")
    rate: float = number(1e-3, min=0)
    sizes: tuple[int, ...] = number((8, 16), max=64)
    loss: Literal["hinge", "bce"] = "hinge"
    root: str | None = setting(None, help="Where the data is.")
    kind: Literal["a"] | None = None
    flip: bool = False

    def conflicts(self) -> list[tuple[str, str]]:
        """Broken rules between the fields."""
        return [("flip", "false for loss bce")] if self.flip and self.loss == "bce" else []


def test_task_options_are_parsed_into_their_types() -> None:
    """Every declared type is made from plain data, with defaults for the rest."""
    given_ = {"images": 5, "rate": 1, "sizes": [4], "loss": "bce", "root": "d", "kind": "a"}

    assert parse(Options, given_, "task") == Options(5, 1.0, (4,), "bce", "d", "a", False)
    assert parse(Options, {"images": 5.0}, "task") == Options(5)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("images", 0, "expected an integer from 1 to 100, not 0"),
        ("images", 101, "expected an integer from 1 to 100, not 101"),
        ("images", None, "expected an integer from 1 to 100, not null"),
        ("rate", False, "expected a number of at least 0, not false"),
        ("rate", 10**400, f"expected a number of at least 0, not 1{'0' * 56}..."),
        ("sizes", [8, 65], "expected a list, each item an integer of at most 64, not [8, 65]"),
        ("sizes", "8", 'expected a list, each item an integer of at most 64, not "8"'),
        ("loss", "hinges", "expected one of hinge, bce, not \"hinges\"; did you mean 'hinge'?"),
        ("root", 3, "expected text or null, not 3"),
        ("kind", "b", 'expected one of a or null, not "b"'),
        ("flip", "yes", 'expected true or false, not "yes"'),
        ("flip", 1, "expected true or false, not 1"),
        ("image", 5, "unknown key; did you mean 'images'? "
         "allowed: images, rate, sizes, loss, root, kind, flip"),
    ],
)  # fmt: skip
def test_task_options_are_checked_like_sections(key: str, value: object, said: str) -> None:
    """The options of a task get the sentences of the sections, places included."""
    options = {"images": 5} | {key: value}

    assert problems(lambda: parse(Options, options, "task")) == [f"task.{key}: {said}"]
    assert problems(lambda: parse(Options, options, "task", {key: "x.yaml:3"})) == [
        f"x.yaml:3: task.{key}: {said}"
    ]


def test_rules_between_options_are_checked() -> None:
    """A dataclass with `conflicts` is asked once its fields are right."""
    options = {"images": 5, "flip": True, "loss": "bce"}

    said = ["task.flip: expected false for loss bce, not true"]
    assert problems(lambda: parse(Options, options, "task")) == said


def test_task_options_remember_where_they_were_written(read: Loader) -> None:
    """A task's own complaint names file and line, though the config was loaded before."""
    task = read(GOOD.replace("digits", "digits\n  rate: -1")).task

    assert problems(lambda: parse(Options, task.options, "task", task.places)) == [
        "x.yaml:1: task.images: missing; expected an integer from 1 to 100",
        "x.yaml:3: task.rate: expected a number of at least 0, not -1",
    ]


def test_a_type_that_cannot_be_checked_is_refused() -> None:
    """A task that declares an unsupported field learns it at once."""

    @dataclass(frozen=True)
    class Unsupported:
        table: dict[str, int]

    with pytest.raises(TypeError, match="cannot be of type"):
        parse(Unsupported, {}, "task")


# ---- stored as JSON ------------------------------------------------------------------------

unit = st.floats(0, 1)
words = st.text(max_size=3)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    plain | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)
tasks = st.builds(
    TaskConfig,
    st.text("abc", min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["latent", "rate", "sizes"]), json_values),
)
searches = st.builds(
    SearchConfig,
    algorithm=st.sampled_from(list(ALGORITHMS)),
    start=st.sampled_from(["stratified", "every"]),
    population=st.integers(4, 99),
    generations=st.integers(5, 99),
    epochs=st.integers(1, 9),
    first_epochs=st.none() | st.integers(1, 9),
    skip_selection=st.lists(st.integers(0, 3), unique=True).map(tuple),
    tau=st.floats(0, 0.5),
    parents=st.none() | st.integers(1, 4),
    replaced=st.none() | st.integers(0, 3),
    inherit_probability=unit,
    shrink=unit,
    perturb=unit,
    mutated_networks=st.lists(words).map(tuple),
)
configs = st.builds(
    Config,
    tasks,
    searches,
    st.builds(RunConfig, seed=st.integers(0, 2**63), threads=st.integers(1, 9)),
    st.builds(EngineConfig, lease_s=st.floats(15, 1e6), snapshot_s=st.floats(0, 1e6)),
)


@given(configs)
@settings(deadline=None, max_examples=50)
def test_json_round_trip_is_exact(config: Config) -> None:
    """What a run directory stores is the configuration, to the last bit and type."""
    stored = json.dumps(to_json(config), allow_nan=False)

    assert from_json(json.loads(stored)) == config
    assert json.dumps(to_json(from_json(json.loads(stored)))) == stored


@given(configs, configs)
@settings(deadline=None, max_examples=50)
def test_a_difference_is_empty_exactly_for_equal_configs(one: Config, other: Config) -> None:
    """No change goes unnoticed, and an unchanged config is never refused."""
    assert difference(one, from_json(to_json(one))) == []
    for section in ("task", "search", "run", "engine"):
        mixed = replace(one, **{section: getattr(other, section)})
        same = json.dumps(to_json(one), sort_keys=True) == json.dumps(
            to_json(mixed), sort_keys=True
        )
        lines = difference(one, mixed)
        assert (lines == []) == same
        assert all(line.startswith(f"{section}.") for line in lines)


def test_a_difference_names_both_values(read: Loader) -> None:
    """Changed, added and removed keys are told apart."""
    stored = read(GOOD, "task.latent=8")
    given_ = read(GOOD, "search.population=24", "task.rate=0.1")

    assert difference(stored, given_) == [
        "task.latent: stored 8, given nothing",
        "search.population: stored 12, given 24",
        "task.rate: stored nothing, given 0.1",
    ]


def test_a_pin_is_stored_only_where_there_is_one(read: Loader) -> None:
    """Runs without it have the configuration, and so the fingerprint, that they always had."""
    plain, pinned = read(GOOD), read(GOOD, "run.cpu_capability=avx2")

    assert list(to_json(plain)["run"]) == ["seed", "threads", "checkpoint_hash"]
    assert to_json(pinned)["run"]["cpu_capability"] == "avx2"
    assert from_json(to_json(pinned)) == pinned
    assert difference(plain, pinned) == ['run.cpu_capability: stored "default", given "avx2"']


def test_the_engine_takes_no_part_in_the_outcome(read: Loader) -> None:
    """Only operational settings are left out of what the digests cover."""
    config = read(GOOD)

    assert outcome(to_json(config)) == outcome(
        to_json(read(GOOD, "engine.lease_s=90", "engine.attempts=1"))
    )
    for override in ("task.latent=8", "search.tau=0.3", "run.seed=1", "run.threads=2"):
        assert outcome(to_json(config)) != outcome(to_json(read(GOOD, override)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "expected the sections task, search, run, engine, logging, not []"),
        ({"task": {"name": "d"}, "search": MINIMAL | {"tau": "x"}},
         'search.tau: expected a number from 0 to 0.5, not "x"'),
        ({"task": {"name": "d", "rate": float("nan")}, "search": MINIMAL},
         "task.rate: expected finite numbers, text, lists and mappings, not NaN"),
    ],
)  # fmt: skip
def test_bad_stored_data_is_refused(data: object, said: str) -> None:
    """Damage to the stored configuration is a `ConfigError` that says where."""
    assert problems(lambda: from_json(data)) == [f"stored configuration: {said}"]


def test_the_description_covers_every_field() -> None:
    """Every key is described with a sentence, its default and what it may be."""
    text = describe()

    for cls in (SearchConfig, RunConfig, EngineConfig):
        for declared in fields(cls):
            assert f"\n  {declared.name} " in text
            assert declared.metadata["help"].split()[0] in text
    assert "tau                   0.25          a number from 0 to 0.5\n" in text


def test_a_newer_key_leaves_old_digests_alone(read: Loader) -> None:
    """At its default it is not stored, so that a run has the fingerprint of before it was there;
    what differs is told with the default all the same."""
    old, new = read(GOOD), read(GOOD, "search.start=every")

    assert "start" not in to_json(old)["search"]
    assert to_json(new)["search"]["start"] == "every"
    assert difference(old, new) == ['search.start: stored "stratified", given "every"']
    steps = read(GOOD, "search.explore_rungs=2")
    assert to_json(steps)["search"] == {**to_json(old)["search"], "explore_rungs": 2}


def test_a_default_may_be_made_by_a_function() -> None:
    """A field with a `default_factory` is not required, and shows its default."""

    @dataclass(frozen=True)
    class Made:
        sizes: tuple[int, ...] = field(default_factory=lambda: (1, 2))

    assert parse(Made, {}, "task").sizes == (1, 2)
    assert "[1, 2]" in describe_fields(Made)
