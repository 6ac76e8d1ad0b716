"""The task `nb201`: networks of NAS-Bench-201, each with weights of its own."""

from __future__ import annotations

from dataclasses import dataclass

from pbtnas.config import number, setting
from pbtnas.models.nb201.networks import Nb201Sizes
from pbtnas.tasks.weight_sharing.alone import AloneTask
from pbtnas.tasks.weight_sharing.image_options import CLASSES, ImageOptions


@dataclass(frozen=True, kw_only=True)
class Nb201Options(ImageOptions):
    """The options of networks of NAS-Bench-201, alone; defaults are the benchmark's.

    Of its CIFAR-10, one half of the train half trains and the other scores.
    """

    width: int = number(16, min=1, help="Channels of the first of three stages.")
    cells: int = number(5, min=1, help="Cells of each stage.")
    bn_momentum: float = number(
        0.1, min=0, max=1, help="Weight of a batch in running statistics; published 0.1."
    )
    affine: bool = setting(
        True,
        help="Normalise with weights inside of cells; without them, convolutions there have a "
        "bias, as in published supernets.",
    )

    held_out: int = number(
        25_000, min=1, help="The last images of the train half, which score and do not train."
    )
    learning_rate: float = number(0.1, min=0, help="Of SGD in the first step.")
    lowest_rate: float = number(0.0, min=0, help="What it approaches as half a cosine.")
    nesterov: bool = setting(True, help="Use Nesterov's momentum.")
    weight_decay: float = number(5e-4, min=0, help="Of SGD.")

    def counts_cost(self) -> bool:
        """Whether members report the multiply-adds of their jobs."""
        return self.count_cost is not False

    def sizes(self) -> Nb201Sizes:
        """The sizes of the networks."""
        return Nb201Sizes(
            width=self.width,
            cells=self.cells,
            classes=CLASSES[self.data],
            bn_momentum=self.bn_momentum,
            affine=self.affine,
        )


class Nb201Task(AloneTask):
    """Search NAS-Bench-201: six variables of five operations."""

    Options = Nb201Options

    def __init__(self, options: Nb201Options | None = None) -> None:
        super().__init__(options or Nb201Options())
