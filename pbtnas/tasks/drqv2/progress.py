"""The progress of a member through its jobs, and its form in a state.

    info["steps"]         agent steps done
    info["replay"]        where its replay buffer is and how far it was filled, see `HeldBuffer`;
                          with `replay_from: donor` it is extra["donor.replay"], the same as
                          bytes of JSON, which mixing takes from the donor
    info["environment"]   in the middle of a job: the environment's values, and the type and
                          shape of its arrays
    extra                 in the middle of a job: the environment's arrays as bytes
                          ("environment.state"), and the episode so far ("episode.rewards")

Between two jobs there is no environment: each job makes its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pbtnas.rl.environments import Capture
from pbtnas.rl.episodes import Episode
from pbtnas.state import Json, State
from pbtnas.tasks.drqv2.buffers import HeldBuffer

_EPISODE = "episode."
_ENVIRONMENT = "environment."
_DONATED = "donor.replay"


@dataclass(frozen=True)
class Interruption:
    """The episode and the environment of an interrupted job.

    Args:
        capture: the environment between two steps.
        episode: the episode so far; None between two episodes.
    """

    capture: Capture
    episode: Episode | None


@dataclass(frozen=True)
class AgentProgress:
    """The progress of a member.

    Args:
        steps: agent steps of its life.
        held: its replay buffer.
        interruption: where its job was interrupted; None between two jobs.
    """

    steps: int = 0
    held: HeldBuffer = field(default_factory=HeldBuffer)
    interruption: Interruption | None = None

    def add_to(self, state: State, *, donated: bool) -> None:
        """Write it into a state; the buffer for a child to have from its donor if `donated`."""
        state.info["steps"] = self.steps
        if donated:
            replay = json.dumps(self.held.to_json(), sort_keys=True).encode()
            state.extra[_DONATED] = torch.frombuffer(bytearray(replay), dtype=torch.uint8)
        else:
            state.info["replay"] = self.held.to_json()
        if self.interruption is None:
            return
        capture, episode = self.interruption.capture, self.interruption.episode
        described: dict[str, Json] = {}
        for name, array in capture.arrays.items():
            # As bytes: simulators have types that torch does not.
            data = np.frombuffer(array.tobytes(), np.uint8).copy()
            state.extra[_ENVIRONMENT + name] = torch.from_numpy(data)
            described[name] = [array.dtype.str, list(array.shape)]
        state.info["environment"] = {"arrays": described, "values": dict(capture.values)}
        if episode is not None:
            for part in fields(episode):
                array = np.array(getattr(episode, part.name))
                state.extra[_EPISODE + part.name] = torch.from_numpy(array)

    @staticmethod
    def of(state: State, *, donated: bool) -> AgentProgress:
        """Read what `add_to` wrote.  Raises `ValueError` for the state of another task."""
        steps = state.info.get("steps")
        if not isinstance(steps, int):
            raise ValueError(f"the state has {steps!r} as info 'steps': it is not one of drqv2")
        if donated and _DONATED not in state.extra:
            raise ValueError(f"the state lacks the extra tensor {_DONATED!r}")
        held = HeldBuffer.from_json(
            json.loads(state.extra[_DONATED].cpu().numpy().tobytes())
            if donated
            else state.info.get("replay")
        )
        described = cast("dict[str, Any] | None", state.info.get("environment"))
        if described is None:
            return AgentProgress(steps, held)
        arrays = {}
        for name, (dtype, shape) in described["arrays"].items():
            data = state.extra[_ENVIRONMENT + name].cpu().numpy().tobytes()
            arrays[name] = np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()
        capture = Capture(arrays, dict(described["values"]))
        return AgentProgress(steps, held, Interruption(capture, _episode(state.extra)))


def _episode(tensors: dict[str, Tensor]) -> Episode | None:
    names = [part.name for part in fields(Episode)]
    if _EPISODE + names[0] not in tensors:
        return None
    # Copies: the state is the caller's.
    return Episode(**{name: tensors[_EPISODE + name].cpu().numpy().copy() for name in names})
