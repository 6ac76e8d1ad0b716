"""One machine has one name that no other has, and only a dead process is called dead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pbtnas.records.paths import host_of, safe
from pbtnas.store import identity
from pbtnas.store.identity import machine, provably_dead, this_process

POD = "search-workers-of-the-long-experiment-7c9f8d"


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv(identity.MACHINE, raising=False)
    return monkeypatch


def on(patch: pytest.MonkeyPatch, host: str, boot: str) -> str:
    """The machine that a process's name tells on such a host."""
    patch.setattr("os.uname", lambda: SimpleNamespace(nodename=host))
    patch.setattr(identity, "_boot", lambda: boot)
    worker = safe(this_process("w")["worker"])
    assert host_of(worker) == machine() == this_process("w")["host"]
    return host_of(worker)


def test_machines_differ_whatever_their_host_names_share(renamed: pytest.MonkeyPatch) -> None:
    """Pods that differ after forty letters are two machines, and so are cloned images."""
    pods = [on(renamed, f"{POD}-{end}", "one boot") for end in ("kx2lp", "kx2lq")]
    clones = [on(renamed, "clone", boot) for boot in ("first", "second")]

    assert len({*pods, *clones}) == 4
    assert on(renamed, "clone", "first") == clones[0], "all processes of one machine agree"


def test_a_machine_that_is_given_a_name_keeps_it(renamed: pytest.MonkeyPatch) -> None:
    """Over boots and host names; another name is another machine."""
    renamed.setenv(identity.MACHINE, "rack1.node_7")
    first = on(renamed, "a", "first")
    assert on(renamed, "b", "second") == first
    renamed.setenv(identity.MACHINE, "rack1.node-7")
    assert on(renamed, "b", "second") != first


def test_names_of_earlier_versions_are_read() -> None:
    """The machine in them is the host's name."""
    assert host_of("gpu-node-3-4711-w-a1b2c3") == "gpu-node-3"


def test_a_process_is_dead_when_its_id_is_gone_or_somebody_elses() -> None:
    """A zombie has ended too; a living one, or one of another boot, is not called dead."""
    child = subprocess.Popen(["sleep", "1000"])
    started = identity._started(child.pid)
    holder = {**this_process("w"), "pid": child.pid, "started": started}
    assert started is not None
    assert not provably_dead(holder)
    assert provably_dead({**holder, "started": started + 1}), "the id was used again"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert provably_dead(holder), "a zombie"
    child.wait()
    assert provably_dead(holder)
    assert not provably_dead({**holder, "boot": "another"})
    assert not provably_dead({**holder, "pid_namespace": "another"})


HIDDEN = """
import sys
holder = {**this_process("w"), "pid": int(sys.argv[1]), "started": int(sys.argv[2])}
assert not os.path.exists(f"/proc/{holder['pid']}/stat"), "hidepid hides nothing here"
print(provably_dead(holder), provably_dead({**holder, "pid": 2**22 - 1}))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_an_invisible_process_is_alive(tmp_path: Path) -> None:
    """Where /proc is mounted hidepid, a living process of another user is not called dead."""
    begin = Path(identity.__file__).read_text().replace("from __future__ import annotations", "")
    script = tmp_path / "look.py"
    script.write_text(f"{begin}\nos.setgid(65534)\nos.setuid(65534)\n{HIDDEN}")
    mount = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    pid = os.getpid()
    command = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, str(script)]
    done = subprocess.run(
        [*command, str(pid), str(identity._started(pid))], capture_output=True, text=True
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip("no mount is allowed here")

    assert done.stdout == "False True\n", done.stderr
