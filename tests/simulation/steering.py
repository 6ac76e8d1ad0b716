"""The simulated run with operators beside it, who steer it while everything else happens too.

An operator is a process like any other: it may be killed half way, sleep, or meet a full disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pbtnas.protocol.controls import give
from pbtnas.protocol.operations import AskedToStop, Steps
from pbtnas.records import paths
from pbtnas.records.controls import Control, Steering, control_of
from pbtnas.records.envelope import decode
from pbtnas.records.names import Name
from pbtnas.records.schema import CANCELLED
from tests.simulation.processes import Actor
from tests.simulation.search import reference
from tests.simulation.world import RUN, World

COMMANDS = 8  # at most, in a run
RATE = 0.006  # probability of a command before one operation of a process


class SteeredWorld(World):
    """A run that operators pause, resume, drain and pin as they like: nothing comes of it."""

    actions = ("pause", "resume", "drain", "pin", "note")

    def __post_init__(self) -> None:
        self.commands = 0
        self.known = Steering()
        super().__post_init__()
        self.commands = self.rng.randrange(COMMANDS) if self.swarm else 0

    def life_of(self, name: str, kind: str) -> Any:
        return self.operate(name) if kind == "operator" else super().life_of(name, kind)

    def operate(self, name: str, action: str | None = None) -> Steps[int | None]:
        """The life of an operator: one command; None if it is interrupted on a full disk."""
        core = self.asked_for(action or self.rng.choice(self.actions))
        self.injected[f"control: {core['action']}"] += 1
        try:
            return (yield from give(RUN, core, {"by": name}, f"{name}/control"))
        except AskedToStop:
            return None

    def asked_for(self, action: str) -> Mapping[str, Any]:
        """A control as its command would record it."""
        if action == "drain":
            return {"action": action, "worker": self.rng.choice(sorted({*self.actors, *self.gone}))}
        if action == "pin":
            member = self.recent_member()
            return member or {"action": "note", "text": "nobody to pin"}
        return {"action": action, "text": "simulated"} if action == "note" else {"action": action}

    def recent_member(self) -> Mapping[str, Any] | None:
        """A pin of a member whose checkpoint is no garbage yet; None if there is none."""
        recent = tuple(f"{paths.results(g)}/" for g in range(self.newest() - 2, self.newest() + 1))
        names = sorted(n for n, entry in self.store.entries.items() if entry.intact)
        for name in self.rng.sample(names, len(names)):
            if name.startswith(recent):
                core = decode(self.store.entries[name].content, name, kind="result").core
                if core["checkpoint"] is not None:
                    where = {"generation": int(name.split("/")[1]), "member": core["member"]}
                    return {"action": "pin", **where, "checkpoint": core["checkpoint"]}
        return None

    def steering(self) -> Steering:
        """What all controls in the directory come to."""
        names = [n for n in self.store.entries if n.startswith("config/control.")]
        if len(names) != len(self.known.controls):
            controls: list[Control] = []
            for name in sorted(names):
                record = decode(self.store.entries[name].content, name, kind="control")
                controls.append(control_of(int(name[-9:-5]), record, Name(name)))
            self.known = Steering(tuple(controls))
        return self.known

    def inject_fault(self, actor: Actor) -> bool:
        if self.commands and self.rng.random() < RATE:
            self.commands -= 1
            self.spawn("operator")
        return super().inject_fault(actor)

    def step(self) -> None:
        """One step; when calm has come, somebody remembers that the run is paused."""
        if self.now >= self.calm_from and self.operators == 0 and self.steering().paused:
            self.spawn("operator")
            (operator,) = [a for a in self.actors.values() if a.kind == "operator"]
            operator.steps = self.operate(operator.name, "resume")
        super().step()

    @property
    def operators(self) -> int:
        """How many commands are being given."""
        return sum(actor.kind == "operator" for actor in self.actors.values())


class LengthenedWorld(SteeredWorld):
    """A run that operators also stop early and extend, so that its outcome is another one: that of
    the same controls at the same generations, whatever else happens."""

    actions = (*SteeredWorld.actions, "stop", "extend", "extend")

    def asked_for(self, action: str) -> Mapping[str, Any]:
        if action == "extend":
            return {"action": action, "generations": self.rng.randint(1, 2)}
        if action == "stop":
            return {"action": action, "after_generation": self.rng.randrange(self.newest() + 2)}
        return super().asked_for(action)

    @property
    def end(self) -> Name:
        return paths.final(len(self.steering().extensions))

    @property
    def over(self) -> bool:
        return super().over and not self.operators

    @property
    def length(self) -> int:
        """As long as what is in the directory makes it."""
        length, waiting = self.search.generations, list(self.steering().extensions)
        for generation in range(self.newest() + 1):
            name = paths.selection(generation)
            if name in self.store.entries and b'"ended":' in self.store.entries[name].written:
                length = generation + 1
                if CANCELLED.encode() in self.store.entries[name].written:
                    return length
            if (
                generation + 1 == length
                and waiting
                and paths.extension(generation) in (self.store.contents)
            ):
                length += waiting.pop(0)
        return length + sum(waiting)

    @property
    def expected(self) -> str:
        return reference(self.search, self.stopped, self.steering().extensions)

    @property
    def stopped(self) -> list[int]:
        """The generations after which operators have ended the run."""
        return [
            generation
            for generation in range(self.length)
            if self._core(paths.selection(generation), "selection").get("ended") == "stop"
        ]

    def run(self, limit_s: float = 40_000.0) -> str:
        """Until it is over, and nobody asks for more."""
        while not self.over:
            before = len(self.actors)
            self.step()
            if len(self.actors) < before:
                self.keep_staffed()
            assert self.now < limit_s, "the run does not end"
        self.commands = 0
        return super().run(limit_s)


class RetriedWorld(LengthenedWorld):
    """A run in which operators also have failed jobs tried again, which then do well."""

    actions = (*LengthenedWorld.actions, *["retry"] * 6)

    def asked_for(self, action: str) -> Mapping[str, Any]:
        """A retry as its command would record it, of a member that has failed; or a useless one."""
        if action != "retry":
            return super().asked_for(action)
        here = {"action": action, "generation": self.newest(), "retry": 1}
        failed = [
            decode(entry.content, name, kind="result").core["member"]
            for name, entry in sorted(self.store.entries.items())
            if name.startswith(f"{paths.results(self.newest())}/") and entry.intact
            if decode(entry.content, name, kind="result").core["outcome"] == "failed"
        ]
        members = failed or range(self.search.population)
        return {**here, "member": self.rng.choice(members)}

    def inject_fault(self, actor: Actor) -> bool:
        """The moment in which a member has failed and is not selected on is short."""
        name = paths.result(1, 2)
        waits = name in self.store.entries and paths.selection(1) not in self.store.entries
        if self.commands and waits and self.rng.random() < 0.2:
            self.commands -= 1
            self.spawn("operator")
            operator = list(self.actors.values())[-1]
            operator.steps = self.operate(operator.name, "retry")
        return super().inject_fault(actor)

    @property
    def retried(self) -> dict[tuple[int, int], int]:
        """By generation and member, the retries that selections went by."""
        return {
            (generation, int(member)): retry
            for generation in range(self.length)
            for member, retry in self._core(paths.selection(generation), "selection")
            .get("retried", {})
            .items()
        }

    @property
    def expected(self) -> str:
        extended = self.steering().extensions
        return reference(self.search, self.stopped, extended, retried=self.retried)


class CancelledWorld(RetriedWorld):
    """A run that operators also cancel: then it ends in the midst of a generation, or before one,
    and what it comes to is that of the same cancellation there."""

    actions = (*RetriedWorld.actions, "cancel", "cancel")

    @property
    def end(self) -> Name:
        finals = sorted(n for n in self.store.entries if paths.final_number(n) is not None)
        if finals and b'"ended":' in self.store.entries[finals[-1]].written:
            return Name(finals[-1])
        return super().end

    @property
    def expected(self) -> str:
        last = self._core(paths.selection(self.length - 1), "selection")
        if last.get("ended") != CANCELLED:
            return super().expected
        jobs = self._core(paths.manifest(self.length - 1), "manifest")["jobs"]
        return reference(
            self.search,
            self.stopped,
            self.steering().extensions,
            cancelled=self.length - 1,
            unopened=not jobs,
            retried=self.retried,
        )
