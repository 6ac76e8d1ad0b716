"""Starts, lists and stops the workers of a run on several hosts at once, by ssh."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pbtnas.launch.ssh_scripts import (
    HostShare,
    list_script,
    shares,
    start_script,
    stop_script,
)
from pbtnas.records.launches import Launch

AT_ONCE = 32  # hosts
ANSWER_S = 600.0  # for the checks of a host, which import torch from a busy disk
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=20")


@dataclass(frozen=True)
class Said:
    """What a host says of one of its processes, or of itself.

    Args:
        host: Its name.
        state: One of started, there, runs, ended, stopped, lives, failed.
        label: The worker's number on that host, or "coordinator"; "" of the host itself.
        text: What else is said.
    """

    host: str
    state: str
    label: str = ""
    text: str = ""


def hosts_of(launch: Launch) -> tuple[HostShare, ...]:
    """The hosts of a launch, each with its share of the workers."""
    room = [HostShare(host, count) for host, count in launch.options["hosts"]]
    return shares(room, launch.workers)


def start(root: Path, launch: Launch, number: int) -> list[Said]:
    """Check the hosts, and start there what does not run yet."""
    hosts = hosts_of(launch)

    def script(share: HostShare) -> str:
        first = launch.coordinator == "first" and share == hosts[0]
        return start_script(root, launch, share, number, coordinator=first)

    return _everywhere(launch, [share for share in hosts if share.workers], script)


def listed(root: Path, launch: Launch) -> list[Said]:
    """What runs on the hosts, and what has ended."""
    return _everywhere(launch, hosts_of(launch), lambda share: list_script(root, launch, share))


def stop(root: Path, launch: Launch, *, now: bool = False) -> list[Said]:
    """Stop all that was started, and wait until it has left."""

    def script(share: HostShare) -> str:
        return stop_script(root, launch, share, 0, now=now, coordinator=True)

    return _everywhere(launch, hosts_of(launch), script)


def stop_surplus(root: Path, launch: Launch) -> list[Said]:
    """Stop the workers beyond each host's share."""

    def script(share: HostShare) -> str:
        return stop_script(root, launch, share, share.workers, now=False, coordinator=False)

    return _everywhere(launch, hosts_of(launch), script)


def _everywhere(
    launch: Launch, hosts: Sequence[HostShare], script: Callable[[HostShare], str]
) -> list[Said]:
    """Let all hosts do something at once; what they say, in the order of the hosts."""
    command = shlex.split(launch.options["ssh"])

    def ask(share: HostShare) -> list[Said]:
        return _ask([*command, *OPTIONS, share.host, "sh", "-s"], share.host, script(share))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [said for answer in pool.map(ask, hosts) for said in answer]


def _ask(command: Sequence[str], host: str, script: str) -> list[Said]:
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except FileNotFoundError:
        return [Said(host, "failed", text=f"this machine has no {command[0]}")]
    except subprocess.TimeoutExpired:
        return [Said(host, "failed", text=f"no answer within {ANSWER_S:g} s")]
    said = [_said(host, line) for line in done.stdout.splitlines() if line]
    if done.returncode and not any(one.state == "failed" for one in said):
        text = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        said.append(Said(host, "failed", text=text))
    return said


def _said(host: str, line: str) -> Said:
    state, _, rest = line.partition(" ")
    if state == "failed":
        return Said(host, state, text=rest)
    label, _, text = rest.partition(" ")
    return Said(host, state, label, text)
