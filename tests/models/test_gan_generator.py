"""The generator's cells, skips and projections, against the paper's arithmetic by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pbtnas.models.gan.generator import PROJECTIONS, Cell, Generator, Projection
from pbtnas.models.gan.ops import resize

WIDTH, BOTTOM, LATENT = 4, 2, 12
CELL = {"up0": "nearest", "up1": "bilinear"} | dict.fromkeys(
    ("c0", "c1", "c2", "c3", "c4"), "conv_3x3"
)


def _cell(skips: int = 0, **changes: str) -> Cell:
    torch.manual_seed(0)
    return Cell(CELL | changes, WIDTH, skips=skips, skip_mode="bilinear")


def _projection(linear: str, index: int = 1, dropout: float = 0.0) -> Projection:
    return Projection(
        {"linear": linear, "up_mode": "nearest", "dropout": dropout},
        width=WIDTH,
        index=index,
        target=BOTTOM * 2**index,
        bottom=BOTTOM,
        latent=LATENT,
        parts=3,
    )


def _generator(projections: int = 3, **changes: bool | float | str) -> Generator:
    torch.manual_seed(0)
    choices: dict[str, bool | float | str] = {}
    for i in range(projections):
        choices[f"projections.{i}.linear"] = "part-target"
        choices[f"projections.{i}.up_mode"] = "nearest"
        choices[f"projections.{i}.dropout"] = 0.0
    for cell in ("cell1", "cell2", "cell3"):
        choices |= {f"{cell}.{name}": option for name, option in CELL.items()}
    return Generator(choices | changes, width=WIDTH, bottom=BOTTOM, latent=LATENT)


def test_a_cell_adds_its_edges_as_the_paper_says():
    """Node 2 is c0(n0) + c1(n1), the output c2(n0) + c3(n1) + c4(n2)."""
    cell = _cell()
    x = torch.randn(2, WIDTH, 3, 3)
    out, skip = cell(x, [])
    n0, n1 = cell.up0(x), cell.up1(x)
    n2 = cell.c0(n0) + cell.c1(n1)
    torch.testing.assert_close(skip, n2)
    torch.testing.assert_close(out, cell.c2(n0) + cell.c3(n1) + cell.c4(n2))


def test_a_cell_without_edges_passes_its_nodes_on():
    """Without c0 and c1 node 2 is n0 + n1; without c2, c3, c4 the output is node 2."""
    cell = _cell(c0="none", c1="none", c2="none", c3="none", c4="none")
    x = torch.randn(2, WIDTH, 3, 3)
    out, skip = cell(x, [])
    torch.testing.assert_close(skip, cell.up0(x) + cell.up1(x))
    assert torch.equal(out, skip)


def test_missing_edges_are_left_out():
    """Of c0 and c1, and of c2, c3, c4, any that is "none" adds nothing."""
    cell = _cell(c0="none", c2="skip_connect", c3="none", c4="none")
    x = torch.randn(2, WIDTH, 3, 3)
    out, skip = cell(x, [])
    torch.testing.assert_close(skip, cell.c1(cell.up1(x)))
    torch.testing.assert_close(out, cell.up0(x))


def test_a_skip_is_resized_and_convolved_and_stays_in_the_skip_out():
    """What a cell passes on contains what it received (the published in-place addition)."""
    cell, plain = _cell(skips=1), _cell()
    plain.load_state_dict(cell.state_dict(), strict=False)
    x, earlier = torch.randn(2, WIDTH, 4, 4), torch.randn(2, WIDTH, 4, 4)
    _, without = plain(x, [])
    _, skip = cell(x, [earlier])
    # The published order, convolution last: ours is the cheaper one.
    published = cell.skips[0](resize(earlier, 8, "bilinear"))
    torch.testing.assert_close(skip, without + published)


def test_skips_do_not_alias_the_nodes_they_are_added_to():
    """With c0 an identity, node 0 keeps its value when skips are added to node 2."""
    cell = _cell(skips=1, c0="skip_connect", c1="none", c2="skip_connect", c3="none", c4="none")
    x = torch.randn(1, WIDTH, 4, 4)
    out, skip = cell(x, [torch.randn(1, WIDTH, 4, 4)])
    torch.testing.assert_close(out, cell.up0(x))
    assert not torch.allclose(out, skip)


def test_cells_two_and_three_receive_the_skips_of_all_earlier_ones():
    """Cell 2 resizes bilinearly one skip, cell 3 by repetition two; cell 1 receives none."""
    generator = _generator()
    cells = [generator.cell1, generator.cell2, generator.cell3]
    assert [len(cell.skips) for cell in cells] == [0, 1, 2]
    assert [cell.skip_mode for cell in cells[1:]] == ["bilinear", "nearest"]


@pytest.mark.parametrize("linear", PROJECTIONS)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_projection_sees_its_part_and_makes_the_target_size(linear: str, index: int):
    """Maps have the target size; "part" i of the latent alone changes a part projection."""
    projection = _projection(linear, index)
    z = torch.randn(2, LATENT)
    z.requires_grad_()
    maps = projection(z)
    target = BOTTOM * 2**index
    assert maps.shape == (2, WIDTH, target, target)
    maps.square().sum().backward()
    assert z.grad is not None
    seen = set(z.grad.abs().sum(0).nonzero().flatten().tolist())
    part = set(range(4 * index, 4 * index + 4))
    assert seen == (part if linear.startswith("part") else set(range(LATENT)))


@pytest.mark.parametrize(
    "linear, index, size",
    [
        ("whole-bottom", 2, 2),
        ("whole-previous", 2, 4),
        ("whole-target", 2, 8),
        ("part-previous", 0, 1),
    ],
)
def test_a_projection_makes_maps_of_the_chosen_size_first(linear: str, index: int, size: int):
    """The linear layer has width x size^2 outputs; the rest is interpolation."""
    projection = _projection(linear, index)
    assert projection.linear.out_features == WIDTH * size**2
    maps = projection(torch.randn(1, LATENT))
    small = maps[:, :, :: maps.shape[2] // size, :: maps.shape[2] // size]
    torch.testing.assert_close(resize(small, maps.shape[2], "nearest"), maps)


def test_dropout_of_a_projection_works_in_training_only():
    """In training about the chosen share of single values is zero, in evaluation none."""
    projection = _projection("whole-target", index=2, dropout=0.2)
    torch.manual_seed(0)
    z = torch.randn(64, LATENT)
    assert (projection(z) == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (projection.eval()(z) == 0).sum() == 0


def test_a_disabled_projection_keeps_its_layer_and_changes_nothing():
    """A switched-off projection owns tensors of the same names; images do not depend on it."""
    on, off = _generator(), _generator(**{"projections.1.enabled": False})
    assert on.state_dict().keys() == off.state_dict().keys()
    z = torch.randn(2, LATENT)
    before = off.eval()(z)
    nn.init.normal_(off.projections[1].linear.weight)
    assert torch.equal(before, off(z))
    on.load_state_dict(off.state_dict())
    assert not torch.allclose(on.eval()(z), off(z))


def test_two_projections_halve_the_latent():
    """With two projections (STL-10's `gan`) each sees one half, and cell 3 gets none."""
    generator = _generator(projections=2)
    assert [p.linear.in_features for p in generator.projections] == [6, 6]
    assert [p.start for p in generator.projections] == [0, 6]
    assert generator(torch.randn(2, LATENT)).shape == (2, 3, 16, 16)


def test_the_generator_is_its_parts_in_order():
    """Images are tanh(conv(relu(bn(cell3)))) with projections added before cells 2 and 3."""
    generator = _generator().eval()
    z = torch.randn(1, LATENT)
    x, skip1 = generator.cell1(generator.projections[0](z), [])
    x, skip2 = generator.cell2(x + generator.projections[1](z), [skip1])
    x, _ = generator.cell3(x + generator.projections[2](z), [skip1, skip2])
    expected = generator.to_image(F.relu(generator.norm(x))).tanh()
    torch.testing.assert_close(generator(z), expected)
