"""Whether a device computes is known before any job is entrusted to it."""

from __future__ import annotations

import pytest
import torch

from pbtnas.cuda import UnfitDevice, check_computes


def test_the_cpu_needs_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there; starting a worker costs nothing more."""
    monkeypatch.delattr(torch, "empty")

    check_computes("cpu")


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("Torch not compiled with CUDA enabled"),
        RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 256.00 MiB.\nmore of it"),
        RuntimeError("CUDA error: invalid device ordinal\nCUDA kernel errors might be ..."),
    ],
)
def test_what_torch_says_comes_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """With the device, and with what renumbers the devices."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "empty", refuse)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    with pytest.raises(UnfitDevice) as raised:
        check_computes("cuda:1")

    assert str(raised.value) == (
        "cuda:1 (with CUDA_VISIBLE_DEVICES=0) cannot be used: torch says: "
        f"{str(error).splitlines()[0]}"
    )


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_wrong_products_are_noticed(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """A GPU may answer, and answer nonsense."""
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: torch.full_like(tensor, value))
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    with pytest.raises(UnfitDevice, match="cuda:0 cannot be used: a product of matrices is off by"):
        check_computes("cuda:0")
