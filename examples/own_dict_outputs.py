"""Search a network in the style of Hugging Face: named inputs, outputs in a dataclass.

It tells from which file of the standard library a line of Python is.

pbtnas task check --task examples/own_dict_outputs.py:Lines
pbtnas run configs/own_task.yaml runs/lines --task examples/own_dict_outputs.py:Lines \
    --set task.name=Lines

The lines are those of your Python: compare scores of one version only.
"""

import argparse
import ast
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pbtnas.search import SearchSpace, layer, switch
from pbtnas.tasks.supervised import Split, SupervisedTask

FILES = (argparse.__file__, ast.__file__, tarfile.__file__)
LENGTH, WIDTH = 40, 32
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


@dataclass
class Classified:
    """What the model gives, as a `ModelOutput` of transformers does."""

    logits: Tensor
    hidden_states: tuple[Tensor, ...]


class Classifier(nn.Module):
    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        kernel, hidden = choices["mixer"], choices["hidden"]
        self.embedding = nn.Embedding(256, WIDTH)
        self.mixer = nn.Conv1d(WIDTH, WIDTH, kernel, padding="same")
        self.hidden = nn.Sequential(
            nn.Linear(WIDTH, hidden), ACTIVATIONS[choices["activation"]](), nn.Linear(hidden, WIDTH)
        )
        self.classifier = nn.Linear(WIDTH, len(FILES))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Classified:
        embedded = self.embedding(input_ids) * attention_mask[..., None]
        mixed = self.mixer(embedded.transpose(1, 2)).transpose(1, 2)
        last = mixed + self.hidden(mixed)
        weights = attention_mask[..., None] / attention_mask.sum(1)[:, None, None]
        return Classified(self.classifier((last * weights).sum(1)), (embedded, last))


class Lines(SupervisedTask):
    precision = "bfloat16"
    space = SearchSpace(
        [
            layer("mixer", (1, 3, 5, 7)),
            layer("hidden", (16, 32, 64)),
            switch("activation", tuple(ACTIVATIONS)),
        ]
    )

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return Classifier(choices)

    def data(self) -> Split:
        """Every tenth line selects, every tenth is kept for the report."""
        lines = [
            (line.strip().encode()[:LENGTH], label)
            for label, file in enumerate(FILES)
            for line in Path(file).read_text(encoding="utf-8").splitlines()
            if len(line.strip()) > 10
        ]
        ids = torch.tensor([list(line.ljust(LENGTH, b"\0")) for line, _ in lines])
        encoded = {
            "input_ids": ids,
            "attention_mask": (ids > 0).float(),
            "labels": torch.tensor([label for _, label in lines]),
        }
        turn = torch.arange(len(ids)) % 10
        train, validation, test = (
            {name: values[part] for name, values in encoded.items()}
            for part in (turn < 8, turn == 8, turn == 9)
        )
        return Split(train, validation, test)

    def loss(self, outputs: Classified, targets: Tensor) -> Tensor:
        return super().loss(outputs.logits, targets)

    def score(self, outputs: Classified, targets: Tensor) -> float:
        return super().score(outputs.logits, targets)
