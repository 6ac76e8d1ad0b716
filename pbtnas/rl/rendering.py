"""Chooses the OpenGL that renders MuJoCo's pixels, and its device.

MuJoCo decides when it is first imported, by the environment variables set here; call
`choose_renderer` before that.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import subprocess

from pbtnas.child_python import python_command, python_environment
from pbtnas.errors import ExitCode, PbtnasError

log = logging.getLogger(__name__)

_PROBE = "import mujoco; mujoco.GLContext(16, 16).make_current()"
_PROBE_LIMIT_S = 120


class NoRenderer(PbtnasError):
    """No OpenGL can render the pixels; the message says what to install."""

    exit_code = ExitCode.USAGE


def choose_renderer(device: str = "cpu") -> str:
    """Set MUJOCO_GL where it is unset: egl, else osmesa; returns what will be used.

    EGL renders on the GPU of `device` ("cuda:1"), unless MUJOCO_EGL_DEVICE_ID says otherwise; in a
    container or a job that may use some GPUs only, on the first one that lets it.
    Raises `NoRenderer` when neither works on this machine.
    """
    if importlib.util.find_spec("triton"):
        # Mesa's software renderer and Triton each bring an LLVM.  The process crashes if Mesa's
        # is the first to be loaded, and torch's first optimiser loads Triton.
        importlib.import_module("triton")
    if device.startswith("cuda") and "MUJOCO_EGL_DEVICE_ID" not in os.environ:
        _choose_egl_device(device)
    chosen = os.environ.get("MUJOCO_GL")
    if not chosen:
        chosen = next((name for name in ("egl", "osmesa") if _works(name)), None)
        if chosen is None:
            raise NoRenderer(
                "no OpenGL for pixel observations: install libegl1 and libgl1 (or libosmesa6), "
                "or set MUJOCO_GL"
            )
        os.environ["MUJOCO_GL"] = chosen
    _say(chosen, device)
    return chosen


def _choose_egl_device(device: str) -> None:
    """Set MUJOCO_EGL_DEVICE_ID to that of a CUDA device, if EGL works there.

    EGL counts the GPUs of the machine, a scheduler may count those of the job, and refuse the
    others.  Without the variable MuJoCo tries one device after the other.
    """
    os.environ["MUJOCO_EGL_DEVICE_ID"] = _egl_device(device)
    if os.environ.get("MUJOCO_GL") not in (None, "", "egl"):
        return
    if _works("egl"):
        os.environ["MUJOCO_GL"] = "egl"
    else:
        del os.environ["MUJOCO_EGL_DEVICE_ID"]


def _say(chosen: str, device: str) -> None:
    """Log what renders; as a warning where a processor renders although there is a GPU."""
    if chosen == "osmesa" and device.startswith("cuda"):
        log.warning(
            "rendering with MUJOCO_GL=osmesa: the processor draws, although networks train on %s; "
            "EGL is several times faster (install libegl1 and the driver's EGL)",
            device,
        )
        return
    if chosen == "egl":
        where = os.environ.get("MUJOCO_EGL_DEVICE_ID", "any")
        log.info("rendering with MUJOCO_GL=%s, EGL device %s", chosen, where)
    else:
        log.info("rendering with MUJOCO_GL=%s", chosen)


def _egl_device(device: str) -> str:
    """The EGL index of a CUDA device, which CUDA_VISIBLE_DEVICES does not renumber."""
    index = device.partition(":")[2] or "0"
    visible = [v.strip() for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    # Names such as GPU-8f1c... and MIG-... cannot be translated: take the number as it is.
    if all(v.isdecimal() for v in visible) and int(index) < len(visible):
        return visible[int(index)]
    return index


def _works(name: str) -> bool:
    # In a process of its own: a failing driver may end it, and MuJoCo tries only once.
    probe = subprocess.run(
        python_command("-c", _PROBE),
        env=python_environment({"MUJOCO_GL": name}),
        capture_output=True,
        timeout=_PROBE_LIMIT_S,
        check=False,
    )
    return probe.returncode == 0
