"""Publishes what an operator asks of a run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pbtnas.protocol.controls import give
from pbtnas.protocol.operations import Get, List, Put, Sleep, Stopping, Unreadable
from pbtnas.records.controls import OUTCOME, Control
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import Store, open_store
from pbtnas.store.run_directory import Run, guard


def give_control(root: Path, run: Run, core: Mapping[str, Any]) -> Control:
    """Publish a control of this process.  Raises `OSError` when it cannot be written.

    Before one that changes the outcome, versions of pbtnas are kept out that do not know controls.
    """
    if core["action"] in OUTCOME:
        guard(root, run)
    meta = {
        "by": this_process("o")["worker"],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with open_store(root, f"control-{secrets.token_hex(4)}", primitive=run.primitive) as store:
        steps, reply = give(run.id, core, meta, new_nonce()), None
        while True:
            try:
                operation = steps.send(reply)
            except StopIteration as stop:
                return Control(stop.value, core, meta["by"], meta["at"])
            reply = _carry_out(store, operation)


def _carry_out(store: Store, operation: Any) -> Any:
    """Errors are told at once: an operator stands by, and may give the command again."""
    match operation:
        case Put(name, data):
            return store.put(name, data)
        case List(directory):
            return set(store.names(directory))
        case Get(name):
            try:
                return store.get(name)
            except UnreadableRecord as error:
                return Unreadable(str(error))
        case Sleep(seconds):
            time.sleep(seconds)
        case Stopping():
            return False
    return store.execute(operation)
