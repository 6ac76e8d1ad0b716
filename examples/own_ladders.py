"""Search a learning rate, a weight decay and a batch size together with the network.

pbtnas task check examples/own_ladders.py:Tuned
"""

from collections import OrderedDict

import torch
from sklearn.datasets import load_digits
from torch import nn

from pbtnas.search import SearchSpace, ladder, layer
from pbtnas.tasks.supervised import Split, SupervisedTask

OPERATIONS = {"nothing": nn.Identity, "linear": nn.Linear}


class Tuned(SupervisedTask):
    space = SearchSpace(
        [
            layer("hidden", OPERATIONS),
            ladder("learning_rate", 1e-4, 1e-2, steps=21),
            ladder("weight_decay", 1e-4, 1e-1, steps=13),
            ladder("batch_size", 16, 256, steps=5, integer=True),  # train_batches knows this name
        ]
    )

    def build(self, choices):
        hidden = OPERATIONS[choices["hidden"]](32, 32)
        parts = {"stem": nn.Linear(64, 32), "hidden": hidden, "act": nn.ReLU()}
        return nn.Sequential(OrderedDict(parts, head=nn.Linear(32, 10)))

    def optimizer(self, parameters, choices):
        decay = choices["weight_decay"]
        return torch.optim.AdamW(parameters, choices["learning_rate"], weight_decay=decay)

    def data(self):
        x, y = map(torch.from_numpy, load_digits(return_X_y=True))
        x = x.float() / 16
        return Split((x[:1400], y[:1400]), (x[1400:1600], y[1400:1600]), (x[1600:], y[1600:]))
