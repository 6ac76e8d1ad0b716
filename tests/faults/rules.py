"""What goes wrong on a faulty disk: rules, and the choice of the operations that they strike."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """What goes wrong.

    Args:
        op: name of a method of `FaultyDisk`, or "any".
        match: regular expression found in the path, which begins with "/".
        client: name of the mount, or "" for all of them.
        error: name of the errno to fail with; "" for none.
        done: whether the operation is carried out before it fails, so that only the reply is lost.
        for_ever: whether the file that is hit first fails from then on, for every client and under
            whatever name, and no other file does.
        delay_s: seconds before the operation is carried out.
        flip: inverts a bit of this byte of the file, counted from its end, in what is read.
        chance: of an operation that matches.
        skip: so many matching operations of each client are spared first.
        count: so many of each client are hit; None for all.
    """

    op: str
    match: str = ""
    client: str = ""
    error: str = ""
    done: bool = False
    for_ever: bool = False
    delay_s: float = 0.0
    flip: int | None = None
    chance: float = 1.0
    skip: int = 0
    count: int | None = None

    @property
    def kind(self) -> str:
        """In a word or two, for the summary."""
        if self.flip is not None:
            return "flip"
        if self.error:
            what = "reply lost" if self.done else self.error
            return f"{what} for ever" if self.for_ever else what
        return "delay"


class Faults:
    """Chooses what goes wrong for one client.  Threads of the file system share it."""

    def __init__(self, rules: Path, client: str, seed: int) -> None:
        self._path = rules
        self._client = client
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._version = ""
        self._rules: list[Rule] = []
        self._hits: list[int] = []

    def strike(self, op: str, path: str, inode: int) -> Rule | None:
        """The rule that this operation falls under, after its delay."""
        with self._lock:
            self._refresh()
            numbers = range(len(self._rules))
            found = next((i for i in numbers if self._hit(i, op, path, inode)), None)
            if found is None:
                return None
            rule = self._rules[found]
            line = {"client": self._client, "op": op, "path": path, "kind": rule.kind}
            with self._path.with_suffix(".log").open("a") as log:
                log.write(f"{json.dumps(line)}\n")
        time.sleep(rule.delay_s)
        return rule

    def _refresh(self) -> None:
        try:
            version, *rules = self._path.read_text().splitlines()
        except FileNotFoundError:
            return
        if version != self._version:
            self._version = version
            self._rules = [Rule(**json.loads(line)) for line in rules]
            self._hits = [0] * len(self._rules)

    def _hit(self, number: int, op: str, path: str, inode: int) -> bool:
        rule = self._rules[number]
        if rule.op not in (op, "any") or rule.client not in (self._client, ""):
            return False
        if rule.for_ever and (chosen := self._chosen(number)) is not None:
            return inode == chosen
        if re.search(rule.match, path) is None or self._rng.random() >= rule.chance:
            return False
        self._hits[number] += 1
        last = None if rule.count is None else rule.skip + rule.count
        if self._hits[number] <= rule.skip or (last is not None and self._hits[number] > last):
            return False
        return not rule.for_ever or self._choose(number, inode) == inode

    def _choice(self, number: int) -> Path:
        return self._path.with_suffix(f".{self._version}-{number}")

    def _chosen(self, number: int) -> int | None:
        """The inode that fails for ever, once a client has chosen it."""
        try:
            return int(self._choice(number).readlink().name)
        except FileNotFoundError:
            return None

    def _choose(self, number: int, inode: int) -> int | None:
        try:
            self._choice(number).symlink_to(str(inode))  # one step, so that only one client chooses
        except FileExistsError:
            pass
        return self._chosen(number)


def write_rules(path: Path, *rules: Rule) -> None:
    """Replace the rules of a mount."""
    private = path.with_suffix(".new")
    # A name of its own: files that are written within a few milliseconds have the same time.
    lines = [uuid.uuid4().hex, *(json.dumps(asdict(rule)) for rule in rules)]
    private.write_text("".join(f"{line}\n" for line in lines))
    private.replace(path)
