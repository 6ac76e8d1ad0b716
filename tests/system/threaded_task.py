"""The tiny task with a product whose bits depend on the settings of whoever makes it."""

from __future__ import annotations

import random
import struct

import numpy as np
import torch
from faulty_task import FaultyTask

from pbtnas.tasks.base import Preparation


class ThreadedTask(FaultyTask):
    """Its points are shifted by sums that threads round differently, and by global noise."""

    def prepare(self, run: Preparation) -> None:
        super().prepare(run)
        found = run.lookup("shift")
        if found is None:
            numbers = torch.rand(1_000_001, generator=torch.Generator().manual_seed(0))
            noise = torch.rand(()).item() + np.random.random() + random.random()  # noqa: NPY002
            total = numbers.sum().item() + noise
            found = run.publish("shift", struct.pack("<d", total))
        (shift,) = struct.unpack("<d", found)
        self.points = self.points + (shift - 500_000) / 1000
