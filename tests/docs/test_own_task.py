"""docs/own-task.md is true: its task trains, and mistakes in it are answered as it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pbtnas.tasks.checking.check import check
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.checking.report import Level
from pbtnas.tasks.faults import TaskFault
from pbtnas.tasks.loading import load_task
from pbtnas.weights import mix_states

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-task.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TUTORIAL = BLOCKS[0]

BUILD, SCORE = "    def build", "nn.functional.cross_entropy(outputs, targets).item()"
MISTAKES = {
    "`nn.Conv2d(1, conv1, 3)`: an option changes what the next layer gets": [
        ("nn.Conv2d(1, 16, conv1", "nn.Conv2d(1, conv1, 3")
    ],
    '`Variable("width", (8, 16), ("conv1",))`, which shapes `conv2` too': [
        ("layer, switch", "Variable, switch"),
        (
            'layer("conv1", (1, 3, 5)), layer("conv2", (1, 3, 5))',
            'Variable("width", (8, 16), ("conv1",))',
        ),
        ("conv1, conv2, act):", "width, act):"),
        ("nn.Conv2d(1, 16, conv1", "nn.Conv2d(1, width, 3"),
        ("nn.Conv2d(16, 16, conv2", "nn.Conv2d(width, 16, 3"),
    ],
    "`nn.Sequential(*[nn.Dropout(0.1)] * drop, nn.Linear(16, 10))`: a switch shifts names": [
        ('"act", ACTIVATIONS)', '"act", ACTIVATIONS), switch("drop", (False, True))'),
        ("conv2, act):", "conv2, act, drop):"),
        ("nn.Linear(16, 10)", "nn.Sequential(*[nn.Dropout(0.1)] * drop, nn.Linear(16, 10))"),
    ],
    "`return` is forgotten": [("return Net(**choices)", "Net(**choices)")],
    '`choices["conv"]`': [("return Net(**choices)", 'return Net(choices["conv"], 3, "relu")')],
    '`switch("act", (nn.ReLU, nn.Tanh))`': [('"act", ACTIVATIONS', '"act", (nn.ReLU, nn.Tanh)')],
    '`layer("first", (1, 3, 5))`, but `self.conv1`': [
        ('layer("conv1"', 'layer("first"'),
        ("Net(**choices)", 'Net(choices["first"], choices["conv2"], choices["act"])'),
    ],
    "`self.convs = [nn.Conv2d(...)]`": [
        ("self.conv2 = nn.Conv2d", "self.convs = [nn.Conv2d"),
        ('conv2, padding="same")', 'conv2, padding="same")]'),
        ("self.conv2(self", "self.convs[0](self"),
    ],
    "`nn.Conv2d(16, 16, 3)`: the option `conv2` is not used": [
        ("nn.Conv2d(16, 16, conv2", "nn.Conv2d(16, 16, 3")
    ],
    "`torch.manual_seed(0)` in the constructor": [
        ("super().__init__()\n", "super().__init__(); torch.manual_seed(0)\n")
    ],
    "`y[:1200]` beside `x[:1400]`": [("y[:1400]", "y[:1200]")],
    "arrays of numpy in a `Split`": [("x[:1400], y[:1400]", "x[:1400].numpy(), y[:1400].numpy()")],
    "`loss(...)` ends in `.item()`": [
        (BUILD, f"    def loss(self, outputs, targets):\n        return {SCORE}\n\n{BUILD}")
    ],
    "`score(...)` returns nothing": [
        (BUILD, f"    def score(self, outputs, targets):\n        {SCORE}\n\n{BUILD}")
    ],
    "a learning rate that is too large": [
        (
            BUILD,
            "    def optimizer(self, parameters):\n"
            f"        return torch.optim.SGD(parameters, lr=1e30)\n\n{BUILD}",
        )
    ],
}


def answers(file: Path, changes: Sequence[tuple[str, str]]) -> list[str]:
    """What `pbtnas task check` says of the tutorial's task with the changes, but good news."""
    code = TUTORIAL
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new, 1)
    file.write_text(code)
    try:
        task = load_task("Digits", {}, task_file=f"{file}:Digits")
    except TaskFault as fault:
        return [str(fault)]
    found = check(task, mix=mix_states, rounds=1)
    return [f.sentence for f in found if f.level is not Level.OK]


def told() -> dict[str, str]:
    """The answer to each mistake, as the tables of the page have it."""
    tables = [
        PAGE.partition(head)[2].partition("\n\n")[0] for head in ("| does not fit |", "| mistake |")
    ]
    rows = [row for table in tables for row in table.splitlines()[2:]]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {mistake: answer.strip("`") for mistake, answer, _ in cells}


def test_the_page_has_the_mistakes_that_are_tried_here() -> None:
    """No row is left that nobody tries."""
    assert list(told()) == list(MISTAKES)


SLOW = "`nn.Conv2d(16, 16, 3)`: the option `conv2` is not used"  # trains 32 members


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(m, marks=pytest.mark.slow) if m == SLOW else m for m in MISTAKES],
)
def test_a_usual_mistake_is_answered_as_the_page_says(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence of the check is that of the page, up to where torch goes on in its words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    start = told()[mistake].removesuffix("...")

    said = answers(Path("my_task.py"), MISTAKES[mistake])

    assert any(sentence.startswith(start) for sentence in said), said


def test_the_task_of_the_page_learns(tmp_path: Path) -> None:
    """The first file that a newcomer copies is thirty lines of code, and trains."""
    assert sum(bool(line) for line in TUTORIAL.splitlines()) <= 30
    (tmp_path / "my_task.py").write_text(TUTORIAL)
    task = load_task("Digits", {}, task_file=f"{tmp_path / 'my_task.py'}:Digits")
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create((1, 1, 2), 0)
    before = evaluate(trainee, Rehearsal(tmp_path)).score

    train(trainee, 2, Rehearsal(tmp_path))

    assert evaluate(trainee, Rehearsal(tmp_path)).score > before


@pytest.mark.parametrize(
    "example", ["own_interface.py", "own_ladders.py", "own_supernet.py", "own_method.py"]
)
def test_a_listing_of_a_whole_example_is_the_file(example: str) -> None:
    """It is the file that tests of `tests/tasks/` train, check and score."""
    assert (ROOT / "examples" / example).read_text() in BLOCKS
