"""A Slurm of its own for a test: three virtual nodes of this machine, with Debian's slurm-wlm."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.site import wait_until

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
ALL_PROCESSES = Path("/proc")

CONF = """\
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={lab}/munge.socket,cred_expire=5
StateSaveLocation={lab}/state
SlurmdSpoolDir={lab}/spool/%n
SlurmctldPidFile={lab}/ctld.pid
SlurmdPidFile={lab}/slurmd-%n.pid
SlurmctldLogFile={lab}/log/ctld.log
SlurmdLogFile={lab}/log/slurmd-%n.log
SlurmctldPort=26817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5,batch_sched_delay=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
SlurmdTimeout=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=27001 CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=27002 CPUs=2 RealMemory=2000
NodeName=svc NodeHostname=localhost NodeAddr=127.0.0.1 Port=27003 CPUs=2 RealMemory=2000
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=high Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=svc Nodes=svc PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=svchigh Nodes=svc PriorityTier=10 PreemptMode=OFF State=UP
"""
NODES = ("n1", "n2", "svc")


@dataclass
class SlurmLab:
    """The daemons of a Slurm, and the commands that speak with it.

    Args:
        directory: Its files, on a path short enough for a socket.
        environment: Variables by which the commands of Slurm find it.
    """

    directory: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start everything, and wait until all nodes are idle."""
        lab = self.directory
        for name in ("state", "spool", "log"):
            (lab / name).mkdir()
        lab.chmod(0o755)
        (lab / "slurm.conf").write_text(CONF.format(lab=lab, user=getpass.getuser()))
        (lab / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        key = lab / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {k: lab / f"munge.{k}" for k in ("socket", "pid", "log", "seed")}
        options = {"key-file": key, **{"socket": files["socket"], "pid-file": files["pid"]}}
        options |= {"log-file": files["log"], "seed-file": files["seed"]}
        named = [f"--{name}={path}" for name, path in options.items()]
        self._start("munged", "munged", "--foreground", "--force", *named)
        wait_until(files["socket"].exists, "munged")
        self._start("slurmctld", "slurmctld", "-c", "-D")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self._idle() == len(NODES), "idle nodes", 60)

    def _idle(self) -> int:
        return self.call("scontrol", "--oneliner", "show", "node").count("State=IDLE ")

    def start_node(self, node: str) -> None:
        self._start(node, "slurmd", "-N", node, "-D")

    def _start(self, name: str, *command: str) -> None:
        with (self.directory / "log" / f"{name}.out").open("ab") as output:
            self.daemons[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )

    def call(self, *command: str) -> str:
        """What a command of Slurm prints; "" while the controller does not answer."""
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, check=False
        )
        return done.stdout

    def states(self) -> list[str]:
        """The states of all jobs that there are, each task of an array by itself."""
        return self.call("squeue", "-h", "--array", "--format=%T").split()

    def ended(self) -> bool:
        return not self.states()

    def fail_node(self, node: str) -> None:
        """Kill the node's daemon and all that runs on it, as when its power goes."""
        killed = [self.daemons[node].pid, *self.processes_on(node)]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        self.daemons[node].wait()

    def processes_on(self, node: str) -> list[int]:
        """The jobs' processes on a node, and the steps' daemons: those that know its name."""
        found = []
        for path in ALL_PROCESSES.glob("[0-9]*/environ"):
            try:
                variables, command = path.read_bytes(), path.with_name("cmdline").read_bytes()
            except OSError:
                continue  # it has just ended, or is another user's
            ours = str(self.directory).encode() in variables
            named = f"SLURMD_NODENAME={node}\0".encode() in variables
            if ours and (named or command.startswith(b"slurmstepd: [")):
                found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        """Cancel all jobs, and end the daemons."""
        self.call("scancel", f"--user={getpass.getuser()}")
        wait_until(self.ended, "all jobs to end", 90)
        for name in (*NODES, "slurmctld", "munged"):
            if name in self.daemons:
                self.daemons[name].terminate()
        for daemon in self.daemons.values():
            daemon.wait(60)


def missing() -> str:
    """What of Slurm this machine lacks; "" if nothing."""
    return ", ".join(name for name in NEEDED if shutil.which(name) is None)


def make_lab(directory: Path) -> SlurmLab:
    environment = {**os.environ, "SLURM_CONF": str(directory / "slurm.conf")}
    return SlurmLab(directory, environment)
