"""Who holds a claim, precisely enough to know when they are gone.

A process id alone names nobody: ids are reused, and containers have their own.  A holder is
host, boot, process-id namespace, process id and the moment that process started.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process(role: str) -> dict[str, Any]:
    """The identity of this process; `worker` in it is unique and safe in a file name."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    return {
        "worker": f"{host}-{os.getpid()}-{role}-{secrets.token_hex(3)}",
        "host": host,
        "boot": _boot(),
        "pid_namespace": _pid_namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def provably_dead(holder: Mapping[str, Any]) -> bool:
    """Whether the holder cannot be running any more; False whenever that is not certain.

    Certain only on the holder's own machine: another boot of the same machine cannot be told
    from another machine of the same name, so only the same boot counts.
    """
    boot, namespace = _boot(), _pid_namespace()
    if not boot or not namespace:
        return False
    if (holder.get("boot"), holder.get("pid_namespace")) != (boot, namespace):
        return False
    pid, started = holder.get("pid"), holder.get("started")
    return isinstance(pid, int) and started is not None and _started(pid) != started


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None if there is no such process.

    A zombie has ended: it holds nothing any more.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command, in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def new_nonce() -> str:
    """A string that no other writer makes."""
    return secrets.token_hex(8)
