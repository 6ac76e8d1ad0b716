"""The built-in task: the contract, and what is particular to it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from pbtnas.checkpoints import files as checkpoints
from pbtnas.data.digits import load_digits
from pbtnas.data.grids import grid_png
from pbtnas.models.digits.networks import LATENTS, Generator, SwitchedSpectralLinear, digits_space
from pbtnas.search import Birth, Member, SearchSpace
from pbtnas.search.algorithms import pbtnas
from pbtnas.state import State, lazily
from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.digits import DigitsOptions, DigitsTask
from pbtnas.weights import carry_out, mix_states
from tests.checkpoints.plain import XXH, read
from tests.search.rules import selection_rule
from tests.tasks.contract import TaskContract

DECENT = {
    "op": "linear",
    "activation": "relu",
    "batch_norm": True,
    "projection": "off",
    "spectral_norm": True,
}
"""An option for every kind of variable that trains well."""


class TestDigits(TaskContract):
    """The contract; 300 images are enough for it."""

    artifacts = frozenset({"grid.png"})

    def make_task(self) -> Task:
        return DigitsTask(DigitsOptions(images=300, final_images=300))

    def test_training_improves_the_score(self, task: Task, tmp_path: Path) -> None:
        """Eight epochs bring generated digits much nearer to real ones."""
        trainee = task.create(decent(), 1)
        before = evaluate(trainee, Rehearsal(tmp_path)).score

        train(trainee, 8, Rehearsal(tmp_path))

        after = evaluate(trainee, Rehearsal(tmp_path)).score
        assert after > before / 2

    def test_the_first_judge_of_a_run_judges_everywhere(self, tmp_path: Path) -> None:
        """A process that finds a published judge uses its bytes and trains none."""
        run = RehearsalProducts(tmp_path)
        first, second = DigitsTask(), DigitsTask()
        first.prepare(run)
        (name,) = run.products
        bent = bytearray(run.products[name])
        bent[-1] ^= 0x01  # of the last weight
        run.products[name] = bytes(bent)

        second.prepare(run)

        ours, theirs = first.problem.judge.state_dict(), second.problem.judge.state_dict()
        assert any(not torch.equal(ours[key], theirs[key]) for key in ours)
        assert run.products[name] == bytes(bent)

    def test_the_judge_knows_digits(self, task: DigitsTask) -> None:
        """Its features can only compare digits if it can tell them apart."""
        images, labels = load_digits()

        assert (task.problem.judge(images).argmax(dim=1) == labels).double().mean() > 0.98

    def test_task_check_mixes_what_a_search_mixes(self, task: DigitsTask, tmp_path: Path) -> None:
        """For random families, `mix_states` and a written overlay are one child, bit by bit."""
        rule = selection_rule(2, parents=2, replaced=1, inherit_probability=0.5)
        for k in range(10):
            rng = random.Random(k)
            members = [Member(i, task.space.sample(rng), -float(i)) for i in range(2)]
            (birth,) = pbtnas(members, task.space, rule, k, 0)
            base, donor = (
                train(
                    task.create(members[i].architecture, i), 1, Rehearsal(tmp_path, stop_at=1)
                ).state
                for i in (birth.base, birth.donor)
            )
            fresh = task.create(birth.architecture, birth.seed).state()

            mixed = mix_states(task.space, birth, base=base, donor=donor, fresh=fresh)

            searched = lazily(child_by_files(task.space, birth, base, donor, fresh, tmp_path))
            assert mixed.optimizer and searched.keys() == lazily(mixed).keys()
            for key, tensor in lazily(mixed).items():
                assert torch.equal(tensor.make(), searched[key].make()), key

    def test_it_must_be_prepared_before_it_trains(self, tmp_path: Path) -> None:
        """Creating needs no data, training does, and says so."""
        trainee = DigitsTask().create(decent(), 0)

        with pytest.raises(RuntimeError, match=r"prepare\(\) comes before"):
            train(trainee, 1, Rehearsal(tmp_path))


def child_by_files(
    space: SearchSpace, birth: Birth, base: State, donor: State, fresh: State, directory: Path
) -> State:
    """A child as a coordinator makes it: an overlay over the base's checkpoint, read back."""
    ours, theirs, overlay = (directory / name for name in ("base", "donor", "overlay"))
    first, second = (
        checkpoints.write(path, state, algorithm=XXH)
        for path, state in ((ours, base), (theirs, donor))
    )
    with (
        checkpoints.read_lazily(ours, first, algorithm=XXH) as a,
        checkpoints.read_lazily(theirs, second, algorithm=XXH) as b,
    ):
        child = carry_out(space, birth, base=a, donor=b, fresh=lazily(fresh))
        checkpoints.write_overlay(overlay, child.overlay, child.origins, algorithm=XXH)
    return read([overlay, ours])


def decent() -> tuple[int, ...]:
    """An architecture that trains well."""
    space = digits_space()
    return space.encode({v.name: DECENT[v.name.rpartition(".")[2]] for v in space})


def test_the_space_is_the_one_of_the_documentation() -> None:
    """21 variables; operations and projections own weights, switches do not."""
    space = digits_space()

    assert len(space) == 21
    assert space.size == (5 * 4 * 2 * 3) ** 3 * (4 * 4 * 2) ** 3
    assert sum(bool(v.modules) for v in space) == 9


def test_the_costs_of_a_network_with_batch_normalisation_are_counted() -> None:
    """It needs more than one image, and a member is counted by what one image costs."""
    costs = DigitsTask().create(decent(), 1).costs()

    assert costs["multiply_adds"] % 1 == 0 and costs["multiply_adds"] > 0


def test_the_digits_are_the_real_ones() -> None:
    """1,797 images that fill the range of the generator's tanh."""
    images, labels = load_digits()

    assert images.shape == (1797, 64) and images.dtype == torch.float32
    assert images.min() == -1 and images.max() == 1
    assert sorted(set(labels.tolist())) == list(range(10))


def test_none_hides_what_comes_before_it() -> None:
    """Behind a `none`, an image depends on the later projections only, but gradients exist."""
    choices = digits_space().decode(decent())
    choices |= {"generator.layers.2.op": "none", "generator.layers.2.projection": "third"}
    generator = Generator(choices)
    latents = torch.randn(8, LATENTS)
    others = torch.cat([torch.randn(8, 12), latents[:, 12:]], dim=1)

    images = generator(latents)
    images.sum().backward()

    assert torch.equal(images, generator(others))
    assert generator.stem.weight.grad is not None and not generator.stem.weight.grad.any()


def test_the_spectral_norm_is_a_switch() -> None:
    """On, the layer comes to stretch nothing; off, it is a linear layer with the same tensors."""
    torch.manual_seed(0)
    normed = SwitchedSpectralLinear(16, 32, True)
    plain = SwitchedSpectralLinear(16, 32, False)
    x = torch.eye(16)

    for _ in range(200):
        normed(x)
    effective = (normed(x) - normed.bias).T

    assert torch.linalg.matrix_norm(effective, ord=2).item() == pytest.approx(1, abs=1e-3)
    assert normed.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(plain(x), torch.nn.functional.linear(x, plain.weight, plain.bias))


def test_a_grid_shows_images_row_by_row_with_gaps() -> None:
    """Six 2x3 images, three a row, twice as large: white, black, and grey between them."""
    images = torch.full((6, 2, 3), -1.0)
    images[1] = 1

    picture = Image.open(io.BytesIO(grid_png(images, columns=3, scale=2, gap=1)))

    assert picture.size == (3 * 6 + 2, 2 * 4 + 1)
    assert [picture.getpixel((x, 0)) for x in (5, 6, 7, 12, 13)] == [0, 96, 255, 255, 96]
    assert picture.getpixel((7, 4)) == 96 and picture.getpixel((7, 5)) == 0
