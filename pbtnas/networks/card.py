"""The model card of an export: what it is, how to use it, how it came to be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pbtnas.config import from_json
from pbtnas.networks.export_directory import SEARCH
from pbtnas.records.schema import numbers
from pbtnas.records.subnets import folded
from pbtnas.tabular import markdown
from pbtnas.tasks.optional import UNSEEN


@dataclass(frozen=True)
class Card:
    """What a card says.

    Args:
        config: The configuration of the export.
        search: The run's whole configuration, as JSON.
        task_file: The task file it was exported with; None for an installed task.
        example: A line of Python that uses `network`.
        artifacts: Names of the final evaluation's files beside the card: pictures, videos, texts.
    """

    config: Mapping[str, Any]
    search: Mapping[str, Any]
    task_file: str | None
    example: str
    artifacts: tuple[str, ...]


def render(card: Card) -> str:
    """The card as Markdown."""
    parts = [_head(card), _use(card), _scores(card), _training(card), _architecture(card)]
    return "\n\n".join([*parts, _LICENCE]) + "\n"


_LICENCE = """\
## Licence

pbtnas gives these weights no licence: that is for those who trained them to choose, with an eye on
the licence of the data. Until one stands here, there is none."""


def _head(card: Card) -> str:
    config = card.config
    averaged = config["found"].get("ingredients")
    whose = (
        f"The network of member {config['member']}"
        if averaged is None
        else f"The average of members {', '.join(map(str, averaged))}"
    )
    if "subnet" in config:
        whose = f"Subnet {config['subnet']}, with the shared weights of member {config['member']}"
    text = f"""\
# {config["task"]["name"]}: {config["which"]} of a search by pbtnas

{whose} of generation {config["generation"]}, architecture and weights,
found by Population Based Training for Neural Architecture Search
([PBT-NAS](https://arxiv.org/abs/2307.15621)), with the algorithm
`{card.search["search"]["algorithm"]}`."""
    shown = [f"![{n}]({n})" for n in card.artifacts if n.endswith((".png", ".webp"))]
    return "\n\n".join([text, *shown])


def _use(card: Card) -> str:
    if card.task_file is None:
        task, needed = "", ""
    else:
        name = f"FILE.py:{card.config['task']['name']}"
        task, needed = f', task="{name}"', ", and the file with the task"
    return f"""\
## Use

With pbtnas {card.config["versions"]["pbtnas"]} installed{needed}; `DIR` is this directory:

```python
import pbtnas

network = pbtnas.load("DIR"{task})
{card.example}
```

`model.safetensors` has its tensors, which other programs can read too. `config.json` has the
architecture, all scores, and digests that are checked on loading."""


def _scores(card: Card) -> str:
    found, final = card.config["found"], card.config["evaluated"]
    columns = {"in the search": numbers(found["score"], folded(found["metrics"]))}
    if final is None:
        note = "It was not evaluated after the search."
    else:
        columns["final"] = numbers(final["score"], folded(final["metrics"]))
        texts = [f" [{name}]({name}) says how it was measured." for name in _texts(card)]
        note = "".join([_reported(final["metrics"].get(UNSEEN)), *texts])
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [(name, *(_number(column.get(name)) for column in columns.values())) for name in names]
    return f"""\
## Score

{_table(("", *columns), rows)}

{note} The score in the search is the best of
many noisy ones, and so looks better than the network is."""


def _reported(unseen: float | None) -> str:
    """What the final evaluation is worth, given how many of its examples the search never saw."""
    if unseen is None:
        return "The final evaluation is the number to report."
    if unseen == 0:
        return (
            "The final evaluation used the examples that the search selected by, for the data have "
            "no third part: it is no estimate of how the network does on others."
        )
    return (
        f"The final evaluation is the number to report: its {unseen:.0f} examples took no part in "
        "training or in the search."
    )


def _texts(card: Card) -> list[str]:
    return [name for name in card.artifacts if name.endswith(".txt")]


def _training(card: Card) -> str:
    search = from_json(card.search).search
    epochs = search.granted_epochs()
    run, versions = card.config["run"], card.config["versions"]
    task = "" if card.task_file is None else f" --task FILE.py:{card.config['task']['name']}"
    options = [(f"`task.{key}`", _json(v)) for key, v in card.config["task"]["options"].items()]
    rows = [
        ("task", _json(card.config["task"]["name"])),
        *options,
        ("members", str(search.population)),
        ("generations", str(search.generations)),
        ("epochs of a member", str(epochs // search.population)),
        ("epochs of all members", str(epochs)),
        ("run", f"`{run['id']}`"),
        ("seed", str(run["seed"])),
        ("fingerprint", f"`{run['fingerprint'] or 'the run was not finished'}`"),
        ("processor", run["processor"] or "not recorded"),
        *_code(card.config["code"]),
        ("exported with", f"pbtnas {versions['pbtnas']}, torch {versions['torch']}"),
    ]
    return f"""\
## Training

{_table(("", ""), rows)}
{_assumed(card)}
`{SEARCH}` is the whole configuration of the search, which is repeated by

```
pbtnas run {SEARCH} runs/again{task}
```

The same versions give the same fingerprint on such a processor, where the operations are
deterministic."""


def _code(code: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The rows about the code of the task."""
    if code is None:
        return [("code of the task", "not recorded")]
    main, beside = code["main"], len(code["files"]) - 1
    told = [f"{code['package']} {code['version']}"] if code["package"] else []
    told += [f"`{main}` (SHA-256 `{code['files'][main]}`)"] if main else []
    told += [f"{beside} files that it imports"] if beside > 0 else []
    began = ", ".join(f"{name} {version}" for name, version in code["versions"].items())
    changed = [("times that code was changed", str(code["changes"]))] if code["changes"] else []
    return [("code of the task", ", ".join(told)), *changed, ("searched with", began)]


def _assumed(card: Card) -> str:
    """What the run does not say; "" if it says everything."""
    names = ", ".join(f"`task.{key}`" for key in card.config["task"].get("assumed", ()))
    return (
        names
        and f"""
The run does not record what {names} had been: these are the defaults of the version that exported.
"""
    )


def _architecture(card: Card) -> str:
    choices = {**card.config["choices"], **card.config.get("subnet_choices", {})}
    rows = [(f"`{name}`", _json(option)) for name, option in choices.items()]
    return "## Architecture\n\n" + _table(("variable", "option"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(markdown(header, rows))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
