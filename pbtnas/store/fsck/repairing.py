"""Puts aside what is damaged, and writes again what is known; nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pbtnas.protocol.operations import Published, Quarantine
from pbtnas.store.fsck.examination import Fault
from pbtnas.store.identity import this_process
from pbtnas.store.opening import open_store
from pbtnas.store.run_directory import best_primitive


def repair(root: Path, faults: Iterable[Fault]) -> None:
    """Repair what can be; coordinator and workers compute the rest again when they run next.

    Raises `OSError`.
    """
    writer = this_process("f")["worker"]
    with open_store(root, writer, primitive=best_primitive(root)) as store:
        for fault in faults:
            if fault.damaged:
                if store.execute(Quarantine(fault.name)) is not Published.WON:
                    raise OSError(f"{root}/{fault.name}: cannot be put aside")
            if fault.directory:
                store.make(fault.name)
            if fault.restored is not None:
                store.put(fault.name, fault.restored)
