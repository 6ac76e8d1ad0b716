"""How every figure looks, and how it becomes a file.

matplotlib is imported when the first figure is drawn: what only imports this module starts fast.
No pyplot: figures are plain objects that nobody has to close.  Style is set inside `style()`
and put back after it, so a caller's own settings neither change nor matter.

Colours are those of Okabe and Ito, told apart by readers of every colour vision; lines differ
in their marks as well.  Text stays legible when a figure is shown 1000 pixels wide.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pbtnas.errors import from_extra

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH_IN = 8.0
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY, LIGHT = "#767676", "#D0D0D0"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
SCORES = "viridis"
"""The colour map of scores and shares: even in brightness, so it survives a grey print."""

_RC: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.formatter.useoffset": False,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.dpi": 150.0,
    "savefig.dpi": 150.0,
    # The same data give the same bytes, on every machine: glyphs as outlines, ids by hash.
    "svg.hashsalt": "pbtnas",
    "svg.fonttype": "path",
}


Format = Literal["png", "svg"]

# Neither the time nor the version of matplotlib is written into a file.
_ANONYMOUS: dict[Format, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}


@dataclass(frozen=True)
class Look:
    """How one series is drawn, the same in every figure."""

    colour: str
    marker: str


_KNOWN = {
    "pbt-nas": Look(BLUE, "o"),
    "random-search": Look(GREY, "s"),
    "searl": Look(VERMILLION, "^"),
    "no-mixing": Look(GREEN, "D"),
}
_COLOURS, _MARKERS = (ORANGE, PURPLE, SKY, BLACK), ("v", "P", "X", "*")
_OTHERS = tuple(  # four in a row differ in both
    Look(_COLOURS[i], _MARKERS[(i + turn) % 4]) for turn in range(4) for i in range(4)
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name; the paper's algorithms have the same one in every figure."""
    ordered = sorted(
        set(names),
        key=lambda name: (
            (list(_KNOWN).index(name), name) if name in _KNOWN else (len(_KNOWN), name)
        ),
    )
    spare = iter(_OTHERS * (1 + len(ordered) // len(_OTHERS)))
    return {name: _KNOWN[name] if name in _KNOWN else next(spare) for name in ordered}


def looks_in_turn(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name in the order given, for series that are no algorithms."""
    shapes = ("o", "s", "^", "D", "v", "P", "X")
    return {
        # The eighth has the colour of the first, and another shape.
        name: Look(COLOURS[i % len(COLOURS)], shapes[(i + i // len(COLOURS)) % len(shapes)])
        for i, name in enumerate(dict.fromkeys(names))
    }


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's defaults and ours, whatever the user's matplotlibrc says, while inside.

    matplotlib keeps its settings in one global table: not for two threads at once.  Raises
    `MissingExtra` without it.
    """
    with from_extra("plot", "a figure"):
        import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for key, value in _RC.items():
            matplotlib.rcParams[key] = value
        yield


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure that makes room for its own labels.  Call it inside `style()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def whole_numbers(axis: Axis, most: int = 9) -> None:
    """Tick an axis of generations or epochs at whole numbers only, in `most` steps at most."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10], integer=True))


def save(figure: Figure, stem: Path, formats: Sequence[Format] = ("png", "svg")) -> list[Path]:
    """Write `stem`.png and `stem`.svg and return their paths; same data, same bytes."""
    written = [stem.with_name(f"{stem.name}.{suffix}") for suffix in formats]
    with style():
        # Room for labels is found once: all files have the same arrangement.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for suffix, path in zip(formats, written, strict=True):
            figure.savefig(path, format=suffix, metadata=_ANONYMOUS[suffix])
    return written


def to_svg(figure: Figure) -> bytes:
    """The figure as an SVG file; same data, same bytes."""
    content = io.BytesIO()
    with style():
        figure.savefig(content, format="svg", metadata=_ANONYMOUS["svg"])
    return content.getvalue()


def spread_out(positions: Iterable[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels the least amount that leaves `gap` between neighbours, within low to high.

    Returns the new positions in the order given; neighbours keep their order.  If there is no
    room for all, the gap shrinks.
    """
    values = list(positions)
    gap = min(gap, (high - low) / max(1, len(values) - 1))
    order = sorted(range(len(values)), key=lambda i: values[i])
    moved = [min(max(values[i], low), high) for i in order]
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = high
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    result = [0.0] * len(values)
    for i, position in zip(order, moved, strict=True):
        result[i] = position
    return result
