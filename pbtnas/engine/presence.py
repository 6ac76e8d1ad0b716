"""Notes which workers this machine runs, so that a probe beside a worker finds its name.

A container has one worker, whose name nobody outside knows before it has begun.  The notes lie
beside the locks of devices, in the directory of temporary files, and go with their process.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pbtnas.engine.devices import default_scratch
from pbtnas.regular_files import read_regular
from pbtnas.store.identity import provably_dead, this_process

log = logging.getLogger("pbtnas")

_LIMIT = 1 << 16  # bytes


def _directory() -> Path:
    return default_scratch() / "workers"


def note_presence(root: Path, identity: Mapping[str, Any] | None = None) -> None:
    """Note that this process is a worker on a run, and its name once it has one.

    Where that cannot be written, it is said, and the worker works all the same.

    Args:
        root: Directory of the run or study.
        identity: Identity of the worker; None while it waits for the run to begin.
    """
    core = {**this_process("w"), "worker": "", **(identity or {}), "run": str(root.absolute())}
    note = _directory() / f"{os.getpid()}.json"
    try:
        _write(note, json.dumps(core))
    except OSError as error:
        log.warning("%s: %s; `pbtnas worker-alive` does not find me", note, error.strerror)
        return
    atexit.register(note.unlink, missing_ok=True)


def _write(note: Path, text: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    private = note.with_name(f".tmp-{note.stem}")
    private.write_text(text)
    private.replace(note)


def workers_here(root: Path) -> list[str]:
    """Names of the workers of this machine, or container, on a run; "" for one that waits for it.

    Those that are known to be dead are left out.
    """
    found = []
    for note in sorted(_directory().glob("*.json")):
        with suppress(FileNotFoundError, ValueError):  # it has just ended, or is none of ours
            core = json.loads(read_regular(note, limit=_LIMIT))
            if core["run"] == str(root.absolute()) and not provably_dead(core):
                found.append(str(core["worker"]))
    return found
