"""Who holds a claim, precisely enough to know when they are gone.

A process id alone names nobody: ids are reused, and containers have their own.  A holder is
host, boot, process-id namespace, process id and the moment that process started.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STAT = 4096  # bytes, more than one line of /proc/PID/stat ever has
_READABLE = 24  # characters of the host in a name
MACHINE = "PBTNAS_MACHINE"
"""Variable with the name of this machine, where the scheduler knows better than the host."""


def this_process(role: str) -> dict[str, Any]:
    """The identity of this process; `worker` in it is unique and safe in a file name."""
    host = machine()
    return {
        "worker": f"{host}-{os.getpid()}-{role}-{os.urandom(3).hex()}",
        "host": host,
        "boot": _boot(),
        "pid_namespace": _pid_namespace(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def machine() -> str:
    """This machine in names; one that was given a name keeps it over boots."""
    given = os.environ.get(MACHINE)
    return machine_name(given, None) if given else machine_name(os.uname().nodename, _boot())


def machine_name(host: str, boot: str | None) -> str:
    """A readable beginning of the host name, and a digest that no other machine has.

    Pods may share the first letters of their host names, and cloned images all of them.
    """
    whole = host if boot is None else f"{host}\n{boot}"
    readable = re.sub(r"[^A-Za-z0-9-]", "-", host)[:_READABLE]
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


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
    if not isinstance(pid, int) or not 0 < pid < 2**31 or started is None:
        return False
    if not _exists(pid):
        return True
    # It may be another process with the same id; /proc mounted hidepid shows no start time.
    stat = process_stat(pid)
    return stat is not None and (stat[0] in "ZX" or int(stat[19]) != started)


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


def _exists(pid: int) -> bool:
    """Whether the kernel has a process of that id, whoever may look at it in /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to somebody else
    return True


def _started(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process, where that can be read."""
    stat = process_stat(pid)
    return None if stat is None else int(stat[19])


def process_stat(pid: int) -> list[str] | None:
    """What /proc says of a process, from its state on; None if it says nothing."""
    try:
        # As few system calls as that takes: a watched process is looked at for hours.
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.read(fd, _STAT).decode(errors="replace")
        finally:
            os.close(fd)
    except OSError:
        return None
    # The command, in parentheses, may itself hold spaces and parentheses.
    return stat.rpartition(")")[2].split()


def new_nonce() -> str:
    """A string that no other writer makes."""
    return os.urandom(8).hex()


def new_identifier() -> str:
    """The id of a new run or study."""
    import uuid  # which most commands do without

    return uuid.uuid4().hex
