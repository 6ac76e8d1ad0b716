"""The choice of an OpenGL, without one."""

from __future__ import annotations

import logging
import os

import pytest

from pbtnas.rl import rendering


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice made yet; whatever a test sets is undone."""
    for name in ("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def working(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretend that only these work."""
    monkeypatch.setattr(rendering, "_works", lambda name: name in names)


def test_egl_comes_before_osmesa_and_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unset MUJOCO_GL becomes egl where it works, and the log says so."""
    working(monkeypatch, "egl", "osmesa")
    with caplog.at_level(logging.INFO):
        assert rendering.choose_renderer() == os.environ["MUJOCO_GL"] == "egl"
    assert "MUJOCO_GL=egl, EGL device any" in caplog.text


def test_osmesa_is_taken_where_egl_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Software rendering is better than none."""
    working(monkeypatch, "osmesa")
    assert rendering.choose_renderer() == os.environ["MUJOCO_GL"] == "osmesa"


@pytest.mark.parametrize(
    ("works", "device", "level"),
    [("osmesa", "cuda:1", "WARNING"), ("osmesa", "cpu", "INFO"), ("egl", "cuda:1", "INFO")],
)
def test_drawing_by_the_processor_beside_a_gpu_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    works: str,
    device: str,
    level: str,
) -> None:
    """A GPU would wait for its frames most of the time."""
    working(monkeypatch, works)
    with caplog.at_level(logging.INFO):
        rendering.choose_renderer(device)

    (said,) = caplog.records
    assert said.levelname == level and f"MUJOCO_GL={works}" in said.getMessage()


def test_nothing_to_render_with_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the names of the packages."""
    working(monkeypatch)
    with pytest.raises(rendering.NoRenderer, match="install libegl1"):
        rendering.choose_renderer()


def test_a_users_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set is neither probed nor changed."""
    working(monkeypatch)
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    monkeypatch.setenv("MUJOCO_EGL_DEVICE_ID", "5")
    assert rendering.choose_renderer("cuda:1") == "glfw"
    assert os.environ["MUJOCO_EGL_DEVICE_ID"] == "5"


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("cuda", None, "0"),
        ("cuda:1", None, "1"),
        ("cuda:0", "3", "3"),
        ("cuda:1", "2, 5", "5"),
        ("cuda:0", "GPU-8f1c", "0"),
        ("cuda:2", "", "2"),
        ("cpu", "3", None),
    ],
)
def test_the_egl_device_is_that_of_the_worker(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str | None, expected: str | None
) -> None:
    """EGL counts all GPUs of the machine, CUDA those that are visible."""
    working(monkeypatch, "egl")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    rendering.choose_renderer(device)
    assert os.environ.get("MUJOCO_EGL_DEVICE_ID") == expected


def test_another_egl_device_is_tried_where_that_of_the_worker_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a job that may use the third GPU only, CUDA calls it 0 and EGL refuses that: MuJoCo is
    left to try one after the other."""
    monkeypatch.setattr(
        rendering, "_works", lambda name: "MUJOCO_EGL_DEVICE_ID" not in os.environ and name == "egl"
    )

    assert rendering.choose_renderer("cuda:0") == "egl"
    assert "MUJOCO_EGL_DEVICE_ID" not in os.environ
