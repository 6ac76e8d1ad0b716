"""Workers on two hosts by a real ssh: two daemons of this test on the loopback interface."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.errors import ExitCode
from pbtnas.records import paths
from tests.system.site import TASK, Site, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SSHD or not shutil.which("ssh") or not Path("/run/sshd").is_dir(),
        reason="no sshd here (Debian: apt-get install openssh-server)",
    ),
]

SERVER = """\
ListenAddress 127.0.0.1
HostKey {lab}/host
AuthorizedKeysFile {lab}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
"""
CLIENT = """\
Host {host}
  HostName 127.0.0.1
  Port {port}
  IdentityFile {lab}/user
  IdentitiesOnly yes
  UserKnownHostsFile {lab}/known
  StrictHostKeyChecking no
  LogLevel ERROR
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[str]:
    """The command of ssh that knows gpu1 and gpu2, which answer, and gpu3, which says nothing."""
    lab = tmp_path / "ssh"
    lab.mkdir()
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(lab / key)]
        subprocess.run(command, check=True)
    (lab / "sshd_config").write_text(SERVER.format(lab=lab))
    ports = {"gpu1": free_port(), "gpu2": free_port()}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports["gpu3"] = silent.getsockname()[1]
        blocks = [CLIENT.format(lab=lab, host=host, port=port) for host, port in ports.items()]
        (lab / "config").write_text("".join(blocks))
        ssh = f"ssh -F {lab / 'config'}"
        daemons = []
        for host in ("gpu1", "gpu2"):
            command = [str(SSHD), "-D", "-f", str(lab / "sshd_config"), "-p", str(ports[host])]
            daemons.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            asked = [*ssh.split(), "-o", "BatchMode=yes", host, "true"]
            wait_until(lambda asked=asked: subprocess.run(asked, check=False).returncode == 0, host)
        try:
            yield ssh
        finally:
            for daemon in daemons:
                daemon.terminate()
                daemon.wait()


def test_hosts_start_list_restart_and_stop_workers(
    site: Site, hosts: str, reference: dict[str, Any]
) -> None:
    """The workers outlive the connection; what was killed is started again, and what was stopped
    goes on after the next launch; a host that does not answer is told, and holds up no other."""
    hold = site.directory / "hold"

    def command(*words: str, code: ExitCode = ExitCode.OK) -> str:
        running = site.start("launch", *words)
        assert running.ends() == code, running.said()
        return running.said()

    def launch(*named: str, code: ExitCode = ExitCode.OK) -> str:
        words = [str(site.config), str(site.run_dir), "--ssh", hosts, "--coordinator", "first"]
        words += ["--task", TASK, "--scratch", str(site.directory / "scratch")]
        told = ("OMP_NUM_THREADS=1", "PBTNAS_TEST_STEP_S=0.2", f"PBTNAS_TEST_HOLD={hold}")
        words += [word for one in told for word in ("--setup", f"export {one}")]
        words += ["--set", "engine.hang_s=6000"]
        words += [word for host in named for word in ("--host", host)]
        return command("ssh", *words, code=code)

    def log(name: str) -> Path:
        return site.run_dir / paths.LAUNCH / f"{name}.log"

    def trains(worker: str, times: int) -> None:
        found = lambda: log(worker).exists() and log(worker).read_text()  # noqa: E731
        site.until(lambda: (found() or "").count("training g") >= times, f"{worker} to train")

    hold.touch()  # no member is finished, however long all this takes
    run = str(site.run_dir)
    assert "3 started, 0 there already" in launch("gpu1", "gpu2")
    for worker in ("gpu1-0", "gpu2-0"):
        trains(worker, 1)
    assert command("list", run).count("runs") == 3

    killed = int(log("gpu2-0").with_suffix(".pid").read_text())
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in site.processes(), "its end")
    assert re.search(r"gpu2 +0 +ended", command("list", run))
    assert "1 started, 2 there already" in launch("gpu1", "gpu2")

    said = launch("gpu1", "gpu3", "gpu2", code=ExitCode.FAILED)
    assert said.count("gpu3") == 1 and re.search(r"gpu3 .* timed out", said), said
    assert "0 started, 3 there already" in said

    hold.unlink()
    trains("gpu1-0", 2)
    said = command("stop", run, code=ExitCode.FAILED)  # for gpu3 may have workers
    assert said.count("stopped") == 3, said
    assert not site.processes()
    assert "stopped" in log("gpu1-0").read_text()
    assert "3 started, 0 there already" in launch("gpu1", "gpu2")
    site.until(lambda: site.has(paths.FINAL), "the end of the search")
    assert site.outcome() == reference
    site.until(lambda: command("list", run).count("ended") == 3, "the end of all")
