"""A training process leaves signals to its worker, without making what it starts immortal."""

from __future__ import annotations

import subprocess

from pbtnas.child_python import python_command, python_environment

DEAF = """
import os, signal, subprocess, sys, time
from pbtnas.training.signals import leave_to_the_worker
signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
leave_to_the_worker(signals)
for number in signals:
    os.kill(os.getpid(), number)
forked = os.fork()
if not forked:
    time.sleep(3600)
os.kill(forked, signal.SIGTERM)
begun = subprocess.Popen(["sleep", "3600"])
begun.terminate()
print(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]), begun.wait())
"""


def test_only_its_worker_stops_it_but_it_can_stop_what_it_starts() -> None:
    """It outlives the signals of a group; forked processes and programs obey them as ever."""
    done = subprocess.run(
        python_command("-c", DEAF), env=python_environment(), capture_output=True, check=False
    )

    assert done.stderr == b"" and done.returncode == 0
    assert done.stdout.split() == [b"-15", b"-15"]
