"""The GAN task: the contract for both spaces, and what is particular to it."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pbtnas.checkpoints import files as checkpoints
from pbtnas.config import ConfigError, parse
from pbtnas.data.batches import ImageBatches
from pbtnas.data.images import ImageSet
from pbtnas.metrics.extractors import Extractor
from pbtnas.metrics.statistics_files import parse_statistics
from pbtnas.models.gan.spaces import build_gan
from pbtnas.search import Birth
from pbtnas.state import State
from pbtnas.tasks.base import Diverged, Task, TaskError
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.task import GanTask, GanTrainee
from pbtnas.tasks.gan.training import Adversaries, trains_generator
from pbtnas.weights import mix_states
from tests.tasks.contract import (
    TaskContract,
    architectures,
    tf32_allowed,
    tf32_while_training,
)

TINY = GanOptions(
    width=4,
    latent=6,
    discriminator_width=4,
    side=16,
    batch_size=4,
    generator_batch_size=4,
    discriminator_steps=2,
    learning_rate=1e-2,
    ema_decay=0.9,
    images=100,
    final_images=120,
)
HARD = replace(TINY, space="gan-hard")
STL10: dict[str, Any] = {"data": "stl10", "side": 48, "fixed_projections": 2}
COUNT = 10  # images: two batches of 4 and one of 2


class PixelsAsFeatures:
    """An extractor without weights: an image at 4x4, as its 48 pixels."""

    name = "pixels"
    digest = hashlib.sha256(b"pixels").hexdigest()
    resize = "mean-4"

    def features(self, images: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        return features[:, :10] / 255


class TinyGan(GanTask):
    """The task on ten noisy images and a tiny extractor."""

    def load_images(self) -> ImageSet:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (COUNT, 3, 16, 16), np.uint8)
        return ImageSet("noise", pixels)

    def make_extractor(self, device: str) -> Extractor:
        return PixelsAsFeatures()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a job by default; these tensors are too small to be shared among more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory: no test sees or changes the user's."""
    directory = tmp_path / "data"
    monkeypatch.setenv("PBTNAS_DATA", str(directory))
    return directory


class GanContract(TaskContract):
    """The contract; trying every option of every variable takes minutes."""

    artifacts = frozenset({"grid.png", "protocol.txt"})

    @pytest.mark.slow
    def test_every_option_builds_and_trains(self, task: Task, tmp_path: Path) -> None:
        """Each option of each variable fits its position."""
        super().test_every_option_builds_and_trains(task, tmp_path)

    @pytest.mark.slow
    def test_names_serve_inheritance(self, task: Task) -> None:
        """No variable renames or reshapes what it does not own, and none owns nothing."""
        super().test_names_serve_inheritance(task)


@pytest.mark.slow
class TestGan(GanContract):
    """The contract for a searched generator, whose networks the other space has nearly all of."""

    def make_task(self) -> Task:
        return TinyGan(TINY)


class TestGanHard(GanContract):
    """The contract for everything searched."""

    def make_task(self) -> Task:
        return TinyGan(HARD)


def prepared(options: GanOptions, directory: Path) -> TinyGan:
    """The tiny task, ready for jobs."""
    task = TinyGan(options)
    task.prepare(RehearsalProducts(directory))
    return task


def measured(run: RehearsalProducts) -> str:
    """The name of the one product with statistics."""
    (name,) = (name for name in run.products if name.endswith(".npz"))
    return name


def member(task: GanTask, seed: int = 1) -> GanTrainee:
    """Some member."""
    return task.create(architectures(task.space, 1)[0], seed)


def stored(state: State) -> State:
    """The state as a checkpoint gives it back: every tensor in the usual memory format."""
    kept = copy_of(state)
    for section in State.SECTIONS:
        tensors = getattr(kept, section)
        setattr(kept, section, {name: tensor.contiguous() for name, tensor in tensors.items()})
    return kept


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(TINY, id="gan"),
        pytest.param(HARD, id="gan-hard"),
        pytest.param(replace(TINY, **STL10), id="gan-stl10"),
        pytest.param(replace(HARD, **STL10 | {"fixed_projections": 3}), id="gan-hard-stl10"),
    ],
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=4)
def test_a_mix_of_any_two_architectures_loads_strictly_and_trains(
    options: GanOptions, seed: int
) -> None:
    """As the engine mixes them, and with a step of both networks behind and before them."""
    torch.manual_seed(seed)
    task, rng = GanTask(options), random.Random(seed)
    parents = [task.space.sample(rng) for _ in range(2)]
    inherited = tuple(i for i in range(len(task.space)) if rng.random() < 0.25)
    architecture = tuple(parents[i in inherited][i] for i in range(len(task.space)))
    birth = Birth(0, 0, 1, inherited, architecture, seed=seed, shrink=0.4, perturb=0.1)
    trained = [task.create(parent, seed=i) for i, parent in enumerate(parents)]
    for parent in trained:
        step(parent, options)
    base, donor = (parent.state() for parent in trained)
    fresh = task.create(architecture, seed).state()
    child = task.create(architecture, seed + 1)

    mixed = mix_states(task.space, birth, base=base, donor=donor, fresh=fresh)
    child.load(copy_of(mixed))

    assert difference(child.state(), mixed) is None
    step(child, options)
    assert child.adversaries.finite()
    assert difference(child.state(), mixed) is not None


def step(trainee: GanTrainee, options: GanOptions) -> None:
    """A step of both networks on noise."""
    real = torch.rand(2, 3, options.side, options.side)
    trainee.adversaries.discriminator_step(real, torch.randn(2, options.latent))
    trainee.adversaries.generator_step(torch.randn(2, options.latent))


@pytest.mark.parametrize(
    ("count", "batch_size", "steps", "trained"),
    [(50_000, 40, 1250, 250), (105_000, 128, 821, 165)],
    ids=["cifar10", "stl10"],
)
def test_an_epoch_has_the_steps_of_the_paper(
    count: int, batch_size: int, steps: int, trained: int
) -> None:
    """Once through the data, a smaller last batch included; every fifth step trains both."""
    images = ImageSet("empty", np.zeros((count, 3, 1, 1), np.uint8), None, "")

    assert len(ImageBatches(images, batch_size, "cpu")) == steps
    assert sum(trains_generator(index, 5) for index in range(steps)) == trained


def test_the_generator_is_trained_at_the_start_of_every_epoch(tmp_path: Path) -> None:
    """Its turn is counted from each epoch's first step, and carried in the state."""
    trainee = member(prepared(TINY, tmp_path))

    state = train(trainee, 3, Rehearsal(tmp_path)).state

    assert [i for i in range(11) if trains_generator(i, 5)] == [0, 5, 10]
    assert state.info == {"discriminator_steps": 9, "generator_steps": 6}


def test_an_epoch_can_be_shorter_than_the_data(tmp_path: Path) -> None:
    """`steps_per_epoch` ends it; the data goes on where it was."""
    trainee = member(prepared(replace(TINY, steps_per_epoch=2), tmp_path))
    context = Rehearsal(tmp_path)

    assert train(trainee, 3, context).done == 6
    assert [line["epoch"] for line in context.logged] == [1, 2, 3]


def test_the_average_follows_generator_steps_only() -> None:
    """0.9 of the average and 0.1 of the new parameters; statistics stay the live generator's."""
    space = GanTask(TINY).space
    adversaries = Adversaries(
        build_gan(space.decode(architectures(space, 1)[0]), TINY.sizes()), TINY
    )
    before = copy_of(adversaries.state())

    adversaries.discriminator_step(torch.zeros(4, 3, 16, 16), torch.randn(4, 6))
    between = copy_of(adversaries.state())
    adversaries.generator_step(torch.randn(4, 6))
    after = adversaries.state()

    for name, average in after.averaged.items():
        assert torch.equal(between.averaged[name], before.live[name])
        expected = 0.9 * before.live[name] + 0.1 * after.live[name]
        assert torch.allclose(average, expected, atol=1e-7)
    assert any(not torch.equal(after.live[n], before.live[n]) for n in after.averaged)
    judged = adversaries.judged()
    assert not judged.training
    for name, buffer in judged.named_buffers(prefix="generator"):
        assert torch.equal(buffer, after.buffers[name])


@pytest.mark.parametrize(
    ("section", "name", "sentence"),
    [
        ("live", "discriminator.head.linear.weight", "the losses up to step 3 .* nan"),
        ("averaged", "generator.to_image.weight", "a parameter is nan or inf at step 3"),
    ],
)
def test_a_member_that_diverged_is_found_by_the_end_of_its_epoch(
    section: str, name: str, sentence: str, tmp_path: Path
) -> None:
    """No result holds what is not finite, in the networks or in the average."""
    trainee = member(prepared(TINY, tmp_path))
    getattr(trainee.state(), section)[name].fill_(torch.nan)

    with pytest.raises(Diverged, match=sentence):
        train(trainee, 1, Rehearsal(tmp_path))


def test_divergence_ends_a_long_epoch_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are looked at every so many steps, not at the end only."""
    monkeypatch.setattr("pbtnas.tasks.gan.task._CHECK_STEPS", 4)
    task = prepared(replace(TINY, learning_rate=1e30, steps_per_epoch=1000), tmp_path)
    context = Rehearsal(tmp_path)

    with pytest.raises(Diverged, match="at step|up to step"):
        train(member(task), 1, context)

    assert context.reached < 20


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(replace(HARD, bf16=True), id="bf16"),
        pytest.param(replace(HARD, channels_last=True), id="channels_last"),
        pytest.param(replace(HARD, fused=True), id="fused"),
        pytest.param(replace(HARD, bf16=True, channels_last=True, fused=True), id="all three"),
        pytest.param(
            replace(TINY, compile=True, batch_size=5, generator_batch_size=5),  # one shape
            id="compile",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
                pytest.mark.filterwarnings("ignore"),  # torch's compiler warns of itself
            ],
        ),
    ],
)
def test_a_faster_way_to_train_can_be_interrupted_too(options: GanOptions, tmp_path: Path) -> None:
    """Each switch, continued from a checkpoint in the middle, ends with the same digest."""
    task = prepared(options, tmp_path)
    whole = train(member(task), 2, Rehearsal(tmp_path))
    half = train(member(task), 2, Rehearsal(tmp_path, stop_at=4))
    kept = checkpoints.write(tmp_path / "half", half.state, algorithm="sha256")
    other = member(task, seed=2)
    other.load(checkpoints.read_verified([tmp_path / "half"], [kept], algorithm="sha256"))

    resumed = train(other, 2, Rehearsal(tmp_path), half)

    assert resumed.done == whole.done
    assert difference(resumed.state, whole.state) is None
    ends = [
        checkpoints.write(tmp_path / name, end.state, algorithm="sha256")
        for name, end in (("whole", whole), ("resumed", resumed))
    ]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_for_training_where_it_is_wanted(allowed: bool, tmp_path: Path) -> None:
    """Full float32 is the default whatever torch's is, and what a score is computed with."""
    before = tf32_allowed()
    trainee = member(prepared(replace(TINY, tf32=allowed), tmp_path))

    assert tf32_while_training(trainee, tmp_path) == {(allowed, allowed)}
    assert before == tf32_allowed()


def test_moments_are_stored_as_their_parameters_are(tmp_path: Path) -> None:
    """After loading too: Adam's kernels may go by the order in memory."""
    task = prepared(replace(TINY, channels_last=True), tmp_path)
    state = stored(train(member(task), 1, Rehearsal(tmp_path)).state)
    other = member(task, seed=2)

    other.load(state)

    loaded = other.state()
    assert not all(tensor.is_contiguous() for tensor in loaded.live.values())
    for name, moment in loaded.optimizer.items():
        parameter = loaded.live[name.rpartition("/")[0]]
        assert moment.ndim == 0 or moment.stride() == parameter.stride()


def test_the_score_is_minus_the_distance_under_its_name(tmp_path: Path) -> None:
    """Only Inception's is called FID; the final evaluation has the score and a picture too."""
    trainee = member(prepared(TINY, tmp_path))
    context = Rehearsal(tmp_path)

    search = evaluate(trainee, context)
    final = evaluate(trainee, Rehearsal(tmp_path, final=True))

    assert search.metrics == {"pixels": -search.score, "images": 100}
    assert search.score < 0 and not search.artifacts
    assert set(final.metrics) == {"pixels", "images", "is", "is_std"}
    assert final.metrics["images"] == 120
    picture = Image.open(io.BytesIO(final.artifacts["grid.png"]))
    assert picture.size == (10 * 16 + 9 * 2,) * 2 and picture.mode == "RGB"
    assert "100 images" in str(context.logged[0]["protocol"])
    protocol = final.artifacts["protocol.txt"].decode().splitlines()
    assert protocol[:2] == [f"pixels {-final.score!r}", "images 120"]


def test_without_data_the_sentence_has_the_command(tmp_path: Path) -> None:
    """The most likely thing to go wrong first."""
    with pytest.raises(TaskError, match="pbtnas data get cifar10"):
        GanTask(GanOptions(extractor="fd-lite0")).prepare(RehearsalProducts(tmp_path))


def test_wrong_weights_are_refused_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truncated file is named, with what was expected of it."""
    weights = tmp_path / "pt_inception.pth"
    weights.write_bytes(b"half of it")
    monkeypatch.setattr(TinyGan, "make_extractor", GanTask.make_extractor)

    with pytest.raises(TaskError, match=r"pt_inception.pth has 10 bytes"):
        TinyGan(replace(TINY, inception_weights=str(weights))).prepare(RehearsalProducts(tmp_path))


def test_statistics_are_measured_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run the first to publish wins; another run on this machine finds them on its disk."""
    run = RehearsalProducts(tmp_path)
    TinyGan(TINY).prepare(run)
    name = measured(run)
    assert parse_statistics(run.products[name], name).n == COUNT
    assert parse_statistics(run.products[name], name).measured_on is not None
    assert len(list(data.iterdir())) == 1

    def fail(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(PixelsAsFeatures, "features", fail)
    TinyGan(TINY).prepare(run)
    again = RehearsalProducts(tmp_path)
    TinyGan(TINY).prepare(again)

    assert again.products == run.products


def test_damaged_statistics_of_this_machine_are_measured_again(tmp_path: Path, data: Path) -> None:
    """What an earlier run kept is a convenience: half a file of it ends no run."""
    run = RehearsalProducts(tmp_path)
    TinyGan(TINY).prepare(run)
    (kept,) = data.iterdir()
    kept.write_bytes(kept.read_bytes()[:300])

    again = RehearsalProducts(tmp_path)
    TinyGan(TINY).prepare(again)

    assert again.products == run.products
    assert kept.read_bytes() in again.products.values()


def test_statistics_that_cannot_be_kept_are_used_all_the_same(
    tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour's measurement is not lost to a data directory that cannot be written."""
    prepared(TINY, tmp_path)
    (kept,) = data.iterdir()
    kept.unlink()
    kept.mkdir()  # so that no file can take its place

    assert prepared(TINY, tmp_path).problem.statistics.n == COUNT
    assert "could not be written, so the next run measures again" in caplog.text
    assert list(data.iterdir()) == [kept]


def test_fewer_real_images_can_be_measured(tmp_path: Path) -> None:
    """The statistics say so, and are no others' by mistake."""
    run = RehearsalProducts(tmp_path)
    task = TinyGan(replace(TINY, reference_images=6))

    task.prepare(run)

    assert task.problem.statistics.n == 6
    assert len(task.problem.images) == COUNT
    assert measured(run) == "noise-first-6.pixels.npz"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"extractor": "inception"}, "made with inception"),
        ({"extractor_digest": "0" * 64}, "made with pixels 0000"),
        ({"resize": "nearest"}, "made with the resize nearest"),
        ({"n": 7}, "is of 7 images, but noise has 10"),
        ({"data_digest": "0" * 64}, "is of other images than noise"),
    ],
)
def test_statistics_that_mean_something_else_are_refused(
    change: dict[str, str | int], sentence: str, tmp_path: Path
) -> None:
    """One sentence, and nothing that stays in the run."""
    own = prepared(TINY, tmp_path).problem.statistics
    file = tmp_path / "given.npz"
    file.write_bytes(replace(own, **change).to_bytes())  # type: ignore[arg-type]
    run = RehearsalProducts(tmp_path)

    with pytest.raises(TaskError, match=sentence):
        TinyGan(replace(TINY, statistics=str(file))).prepare(run)

    assert not run.products


def test_given_statistics_are_those_of_the_whole_run(tmp_path: Path) -> None:
    """A worker that finds them published needs no file of its own."""
    file = tmp_path / "given.npz"
    file.write_bytes(prepared(TINY, tmp_path).problem.statistics.to_bytes())
    run = RehearsalProducts(tmp_path)
    options = replace(TINY, statistics=str(file))

    TinyGan(options).prepare(run)
    file.unlink()
    TinyGan(options).prepare(run)

    assert measured(run) == "given.npz"
    with pytest.raises(TaskError, match="given.npz cannot be read"):
        TinyGan(options).prepare(RehearsalProducts(tmp_path))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"branches": "first"}, "branches"),
        ({"space": "gan-hard", "fixed_projections": 2}, "fixed_projections"),
        ({"side": 24}, "side"),
        ({"side": 48}, "side"),
        ({"data": "stl10", "side": 32}, "side"),
        ({"latent": 121}, "latent"),
        ({"betas": [0.9]}, "betas"),
        ({"betas": [0.0, 1.0]}, "betas"),
        ({"extractor": "fd-lite0", "inception_weights": "x.pth"}, "inception_weights"),
        ({"statistics": "my file.npz"}, "statistics"),
        ({"statistics": "a.npz", "reference_images": 1000}, "reference_images"),
        ({"statistics_by": "tensorflow"}, "statistics_by"),
        ({"statistics": "a.npz", "statistics_by": "tensorflow", "side": 16}, "statistics_by"),
        (
            {"statistics": "a.npz", "statistics_by": "pytorch-fid", "extractor": "fd-lite0"},
            "statistics_by",
        ),
        ({"data": "folder"}, "path"),
        ({"data": "folder", "path": "x", "side": 40}, "side"),
        ({"data": "folder", "path": "x", "side": 144}, "side"),
        ({"path": "x"}, "path"),
        ({"greyscale": "refuse"}, "greyscale"),
        ({"alpha": "white"}, "alpha"),
    ],
)
def test_options_that_contradict_each_other_are_named(values: dict[str, object], key: str) -> None:
    """One sentence for each, with the key to change."""
    with pytest.raises(ConfigError) as caught:
        parse(GanOptions, values, "task")

    (problem,) = caught.value.problems
    assert problem.startswith(f"task.{key}: expected ")


def test_it_must_be_prepared_before_it_trains(tmp_path: Path) -> None:
    """Creating needs no data, training does, and says so."""
    with pytest.raises(RuntimeError, match=r"prepare\(\) comes before"):
        train(member(TinyGan(TINY)), 1, Rehearsal(tmp_path))
