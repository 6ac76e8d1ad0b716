"""Writes what a host is told over ssh: plain sh, so that it can be read, and tried by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pbtnas.launch.errors import UnfitLaunch
from pbtnas.records import paths
from pbtnas.records.launches import Launch

COORDINATOR = "coordinator"
STOP_S = 60  # that a host waits for its workers to hand back
_HOST = re.compile(r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.@-]*)(?:(?::|\s+slots=)(?P<count>\d+))?")


@dataclass(frozen=True)
class HostShare:
    """A host, and how many workers it is to have.

    Args:
        host: Its name, as ssh knows it.
        workers: Number of workers.
    """

    host: str
    workers: int


def parsed_hosts(words: Iterable[tuple[str, str]]) -> tuple[HostShare, ...]:
    """Hosts as "gpu1:4" or "gpu1 slots=4"; without a number, one worker.

    Args:
        words: Where each was given, and what it says.

    Raises `UnfitLaunch` for what is none, and for a host that is named twice.
    """
    found: dict[str, HostShare] = {}
    for where, word in words:
        match = _HOST.fullmatch(word.strip())
        if match is None or match["count"] == "0":
            raise UnfitLaunch(
                f"{where} {word.strip()}: expected HOST, HOST:N or HOST slots=N, as in gpu1:4"
            )
        if match["host"] in found:
            raise UnfitLaunch(f"{where} {word.strip()}: {match['host']} is named twice")
        found[match["host"]] = HostShare(match["host"], int(match["count"] or 1))
    return tuple(found.values())


def shares(hosts: Sequence[HostShare], workers: int) -> tuple[HostShare, ...]:
    """The hosts with so many workers in all, the first ones filled first.

    Raises `UnfitLaunch` where there is no room for them.
    """
    room = sum(share.workers for share in hosts)
    if workers > room:
        raise UnfitLaunch(f"{workers} workers: the hosts have room for {room}; name more of them")
    found = []
    for share in hosts:
        taken = min(share.workers, workers)
        found.append(HostShare(share.host, taken))
        workers -= taken
    return tuple(found)


def labels(share: HostShare, *, coordinator: bool) -> list[str]:
    """What the processes of a host are called, in names of logs."""
    return [*([COORDINATOR] if coordinator else []), *map(str, range(share.workers))]


def start_script(
    root: Path, launch: Launch, share: HostShare, number: int, *, coordinator: bool
) -> str:
    """Check a host, and start there what does not run yet; says `started` or `there` of each."""
    record = root / paths.launch(number)
    check = ["coordinator", "--dry-run", *launch.coordinate[1:]]
    lines = [
        *_head(root, launch, share),
        f"[ -e {_q(record)} ] || fail {_q(f'{root} is not there, or another directory')}",
        f"check pbtnas doctor {_q(root)}",
        f"check pbtnas {shlex.join(check)}",
    ]
    for label in labels(share, coordinator=coordinator):
        words, rank = launch.coordinate, ""
        if label != COORDINATOR:
            words, rank = (*launch.worker, "--slots", str(share.workers)), f"LOCAL_RANK={label} "
        lines += [
            f"if runs {label}; then echo there {label}; else",
            f"  {rank}setsid pbtnas {shlex.join(words)} \\",
            f'    >> "$log-{label}.log" 2>&1 < /dev/null &',
            f'  echo $! > "$log-{label}.pid"; echo started {label}; fi',
        ]
    return "\n".join([*lines, ""])


def list_script(root: Path, launch: Launch, share: HostShare) -> str:
    """Say `runs` or `ended` of each process that was started on a host, and what it said last."""
    return "\n".join(
        [
            *_head(root, launch, share),
            *_EACH,
            "  if runs $label; then state=runs; else state=ended; fi",
            '  echo $state $label "$(tail -n 1 "$log-$label.log" 2> /dev/null)"',
            "done",
            "",
        ]
    )


def stop_script(
    root: Path, launch: Launch, share: HostShare, keep: int, *, now: bool, coordinator: bool
) -> str:
    """Stop the workers of a host from number `keep` on, and wait until they have left.

    Says `stopped` of each that has, and `lives` of each that has not within a minute.
    """
    spared = "" if coordinator else f"[ $label = {COORDINATOR} ] && continue"
    return "\n".join(
        [
            *_head(root, launch, share),
            "of=",
            *_EACH,
            f"  {spared}" if spared else "",
            f"  [ $label != {COORDINATOR} ] && [ $label -lt {keep} ] && continue",
            "  if runs $label; then",
            f'    kill -{"KILL" if now else "TERM"} "$(cat "$file")"; of="$of $label"',
            '  else rm -f "$file"; fi',
            "done",
            "for label in $of; do",
            "  n=0",
            f"  while runs $label && [ $n -lt {2 * STOP_S} ]; do sleep 0.5; n=$((n + 1)); done",
            "  if runs $label; then echo lives $label; else",
            '    rm -f "$log-$label.pid"; echo stopped $label; fi',
            "done",
            "",
        ]
    )


_EACH = (
    'for file in "$log"-*.pid; do [ -e "$file" ] || continue',
    '  label=${file#"$log"-}; label=${label%.pid}',
)
"""Of every process that was started on this host."""


def _head(root: Path, launch: Launch, share: HostShare) -> list[str]:
    """What every script begins with."""
    log = root / paths.LAUNCH / _safe(share.host)
    mark = _q(f"{root} ")
    return [
        'fail() { echo "failed $*"; exit 1; }',
        'check() { said=$("$@" 2>&1 < /dev/null) || fail "$*: $(echo "$said" | tail -n 1)"; }',
        f"log={_q(log)}",
        # Its number may belong to another process by now.
        'runs() { [ -e "$log-$1.pid" ] && [ -r "/proc/$(cat "$log-$1.pid")/cmdline" ] &&',
        f"  tr '\\0' ' ' < \"/proc/$(cat \"$log-$1.pid\")/cmdline\" | grep -qF -- {mark}; }}",
        f"cd {_q(launch.directory)} || fail {_q(f'{launch.directory}: no such directory')}",
        f'export PATH={_q(launch.path)}:"$PATH"',
        *launch.setup,
    ]


def _safe(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", host)


def _q(text: object) -> str:
    return shlex.quote(str(text))
