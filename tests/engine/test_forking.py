"""Processes forked from one that has imported all they need: as new ones, only sooner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine.fork_server import workers_beside
from pbtnas.engine.supervisor import end
from pbtnas.errors import ExitCode
from pbtnas.records import paths
from tests.system.site import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do it")

FORKS = """
import json, os, signal, socket, sys, threading
from pbtnas.engine import forking

forking.IMPORTED = ()
forking.import_once({"OMP_NUM_THREADS": "3"})
signal.signal(signal.SIGTERM, lambda *_: os._exit(99))
signal.signal(signal.SIGHUP, signal.SIG_IGN)
mine, theirs = socket.socketpair()
said_at, say_at = os.pipe()
nothing = os.open(os.devnull, os.O_RDONLY)
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)

def fails():
    raise ValueError("nobody thought of it")

def ends(code):
    return lambda: sys.exit(code)

def dies():
    os.kill(os.getpid(), signal.SIGTERM)

def looks():
    os.write(say_at, json.dumps({
        "session": os.getsid(0) == os.getpid(),
        "handlers": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGHUP)],
        # Besides these, the one with which they are listed.
        "others": len(set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, say_at}) - 1,
        "stdin": os.readlink("/proc/self/fd/0"),
        "command": open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0)),
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    }).encode())

def fork(main):
    child = forking.fork(
        main, ["pbtnas", "worker"], keep=[say_at], stdin=nothing, output=log
    )
    return child.wait(60)

codes = [fork(main) for main in (ends(None), ends(7), ends("a sentence"), fails, dies)]
fork(looks)
said = json.loads(os.read(said_at, 1 << 16))
able = [forking.can_fork(), forking.can_fork({"OMP_NUM_THREADS": "3"})]
unable = [forking.can_fork({"OMP_NUM_THREADS": "2"})]
threading.Thread(target=signal.pause, daemon=True).start()
unable.append(forking.can_fork())
print(json.dumps({"codes": codes, "said": said, "able": able, "unable": unable}))
"""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of some forks of a process that had handlers, sockets and a log of its own."""
    log = tmp_path_factory.mktemp("forked") / "log"
    done = subprocess.run(
        python_command("-c", FORKS, str(log)),
        env=python_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "log": log.read_text()}


def test_a_forked_process_ends_as_a_python_program_does(forked: dict[str, Any]) -> None:
    """Its parent judges it by its exit code or signal; a sentence or traceback is in its log."""
    assert forked["codes"] == [0, 7, 1, 1, -signal.SIGTERM]
    assert "a sentence\n" in forked["log"]
    assert forked["log"].count("ValueError: nobody thought of it") == 1


def test_a_forked_process_begins_as_a_new_one(forked: dict[str, Any]) -> None:
    """It has a session, default signals (but for what nohup ignores) and its own command line in
    lists of processes; and no descriptor of its parent, so that locks and pipes end as they do."""
    assert forked["said"] == {
        "session": True,
        "handlers": [str(signal.SIG_DFL), str(signal.SIG_IGN)],
        "others": 0,
        "stdin": os.devnull,
        "command": ["pbtnas", "worker"],
        "blocked": 0,
    }


def test_only_what_would_be_as_a_new_process_is_forked(forked: dict[str, Any]) -> None:
    """Libraries that were told otherwise when they were loaded, and threads, forbid it."""
    assert forked["able"] == [True, True]
    assert forked["unable"] == [False, False]


def _shared_mb(pid: int) -> float:
    """Memory that a process has written and has in common with others, as forks have."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Shared_Dirty")) / 1024


def _servers(site: Site) -> Iterator[int]:
    for pid in site.processes():
        if b"pbtnas.engine.fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes():
            yield pid


def test_a_local_run_imports_torch_once_and_outlives_the_process_that_did(
    site: Site, reference: dict[str, Any]
) -> None:
    """Coordinator, workers and training processes have its memory in common; when it is killed,
    they hand back, all is started again, and the run ends with the same bits."""
    run = site.run(2, PBTNAS_TEST_STEP_S="0.1")
    site.until(lambda: site.has(paths.result(0, 0)), "the run to begin")
    (server,) = _servers(site)
    children = set(site.processes()) - {server, run.process.pid}
    shared = [_shared_mb(pid) for pid in children]
    os.kill(server, signal.SIGKILL)
    run.until_it_says("ended with -9; they hand their jobs back, and all is started again")
    site.until(lambda: list(_servers(site)), "all to be started again")
    assert not children & set(site.processes()), "nobody is left of those before"

    assert run.ends() == 0, run.said()
    assert len(shared) == 7 and min(shared) > 50, "coordinator, 2 workers, guards and trainings"
    assert site.outcome() == reference


def test_workers_of_a_study_are_forked_and_come_again_when_all_before_have_gone(
    tmp_path: Path,
) -> None:
    """The process that forks them is killed: two sets of workers would want one device; and a
    request to stop ends all of them."""
    line = ["worker", str(tmp_path / "none"), "--device", "cpu", "--scratch", str(tmp_path)]
    (workers,) = workers_beside([line, line], {})

    def server_and_forked(other_than: int = 0) -> tuple[int, list[int]]:
        until_s = time.monotonic() + 300
        while time.monotonic() < until_s:
            workers.poll()
            pid = other_than if workers.process is None else workers.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if pid != other_than and len(found := children.read_text().split()) == 2:
                return pid, [int(each) for each in found]
            time.sleep(0.05)
        raise AssertionError("no two workers were forked")

    server, forked = server_and_forked()
    shared = [_shared_mb(pid) for pid in forked]
    os.kill(server, signal.SIGKILL)
    server_and_forked(other_than=server)
    left = [pid for pid in forked if Path(f"/proc/{pid}").exists()]
    end([workers])

    assert left == []
    assert workers.code == ExitCode.STOPPED
    assert min(shared) > 20, "torch is imported once"
