"""Starting, listing and stopping workers on hosts; ssh and pbtnas are scripts of the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli.app import cli
from pbtnas.errors import ExitCode
from pbtnas.launch import ssh
from pbtnas.launch.errors import UnfitLaunch
from pbtnas.launch.ssh_scripts import HostShare, parsed_hosts, shares
from pbtnas.records.launches import Launch
from pbtnas.store.launches import record_launch
from tests.launch.test_slurm import CONFIG
from tests.system.site import wait_until

SSH = """#!/bin/bash
while [ "$1" = -o ]; do shift 2; done
host=$1; shift
[ $host = gone ] && { echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255; }
echo "$host $*" >> $HOSTS
exec "$@"
"""
PBTNAS = """#!/bin/bash
[ "$1" = doctor ] && { [ -e $HOSTS.bad ] && echo "BAD: no hard links" && exit 1; exit 0; }
[ "$2" = --dry-run ] && exit 0
echo "$LOCAL_RANK $*"
trap 'echo handed back; exit 75' TERM
while sleep 0.05; do :; done
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Three workers on two hosts, whose directory has a space in its name."""
    root = tmp_path / "my runs" / "first"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOSTS", str(tmp_path / "hosts"))
    for name, text in (("ssh", SSH), ("pbtnas", PBTNAS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    yield Launch(
        engine="ssh",
        name="n",
        workers=3,
        coordinator="first",
        directory=str(root),
        path=str(tmp_path),
        worker=("worker", str(root), "--device", "auto"),
        coordinate=("coordinator", "c.yaml", str(root)),
        options={"hosts": [["gpu1", 2], ["gpu2", 1]], "ssh": str(tmp_path / "ssh")},
    )
    for file in (root / "launch").glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def start(plan: Launch) -> list[str]:
    root = Path(plan.directory)
    return told(ssh.start(root, plan, record_launch(root, plan)))


def told(said: list[ssh.Said]) -> list[str]:
    return [f"{one.host} {one.label} {one.state} {one.text}".strip() for one in said]


ALL = [("gpu1", "coordinator"), ("gpu1", "0"), ("gpu1", "1"), ("gpu2", "0")]


def test_each_host_starts_its_share_and_what_runs_is_left_alone(plan: Launch) -> None:
    """In sessions of their own, with a log for each, and a number for its device."""
    assert start(plan) == [f"{host} {label} started" for host, label in ALL]
    log = Path(plan.directory) / "launch" / "gpu1-1.log"
    wait_until(log.exists, "a log")
    wait_until(lambda: log.read_text().startswith(f"1 worker {plan.directory} --d"), "its words")
    pid = int(log.with_suffix(".pid").read_text())
    assert os.getsid(pid) == pid != os.getsid(0)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "gpu1 1 ended" in " ".join(told(ssh.listed(Path(plan.directory), plan))), "")

    again = start(plan)
    assert again == [
        f"{host} {label} {'started' if (host, label) == ('gpu1', '1') else 'there'}"
        for host, label in ALL
    ]


def test_stop_waits_until_all_have_left(plan: Launch) -> None:
    """As by SIGTERM; `--now` kills them; what is not there is not listed any more."""
    root = Path(plan.directory)
    for now in (False, True):
        start(plan)
        log = root / "launch" / "gpu2-0.log"
        wait_until(lambda file=log: file.exists() and file.read_text(), "a worker")
        assert sorted(told(ssh.stop(root, plan, now=now))) == sorted(
            f"{host} {label} stopped" for host, label in ALL
        )
        assert log.read_text().count("handed back") == 1
    assert told(ssh.listed(root, plan)) == []


def test_fewer_workers_stop_those_with_the_highest_numbers(plan: Launch) -> None:
    """The first hosts are filled first."""
    root = Path(plan.directory)
    start(plan)
    fewer = replace(plan, workers=1)
    assert told(ssh.stop_surplus(root, fewer)) == ["gpu1 1 stopped", "gpu2 0 stopped"]
    assert start(fewer) == ["gpu1 coordinator there", "gpu1 0 there"]


def test_a_host_that_fails_a_check_starts_nothing(plan: Launch, tmp_path: Path) -> None:
    """Its words are told; nor does one that cannot be reached, while the others start."""
    (tmp_path / "hosts.bad").touch()
    failed = f"failed pbtnas doctor {plan.directory}: BAD: no hard links"
    assert start(plan) == [f"gpu1  {failed}", f"gpu2  {failed}"]
    (tmp_path / "hosts.bad").unlink()
    gone = replace(plan, options={**plan.options, "hosts": [["gone", 2], ["gpu2", 1]]})
    assert start(gone) == [
        "gone  failed ssh: connect to host gone port 22: No route to host",
        "gpu2 0 started",
    ]


def test_stopping_says_by_its_exit_code_that_a_host_was_not_reached(plan: Launch) -> None:
    """Its workers may go on; those of the others have been stopped."""
    start(plan)
    root = Path(plan.directory)
    hosts = [*plan.options["hosts"], ["gone", 1]]
    record_launch(root, replace(plan, workers=4, options={**plan.options, "hosts": hosts}))

    codes = []
    for _ in range(2):
        done = CliRunner().invoke(cli, ["launch", "stop", "--now", str(root)])
        codes.append((done.exit_code, done.output.count("stopped"), done.output.count("gone")))
    assert codes == [(ExitCode.FAILED, 4, 2), (ExitCode.FAILED, 0, 2)]  # a host and a sentence
    record_launch(root, plan)
    assert CliRunner().invoke(cli, ["launch", "stop", str(root)]).exit_code == ExitCode.OK


def test_a_host_that_sees_another_directory_is_told(plan: Launch) -> None:
    """Its workers would wait there for ever."""
    root = Path(plan.directory)
    record_launch(root, plan)

    said = told(ssh.start(root, plan, 7))
    assert said == [
        f"{h}  failed {root} is not there, or another directory" for h in ("gpu1", "gpu2")
    ]


# -- bad input ---------------------------------------------------------------------------------


def test_hosts_are_read_in_both_usual_ways() -> None:
    """HOST:N, and a line of Open MPI's host files."""
    words = ["gpu1:4", "ada@gpu2 slots=2", "gpu3"]
    assert parsed_hosts([("--host", word) for word in words]) == (
        *(HostShare("gpu1", 4), HostShare("ada@gpu2", 2), HostShare("gpu3", 1)),
    )


@pytest.mark.parametrize(
    "words", [["gpu1:0"], ["gpu1:x"], ["-oProxyCommand=x"], ["a", "a:2"], [""]]
)
def test_what_is_no_host_is_refused(words: list[str]) -> None:
    """Also what ssh would take for an option, and a host that is named twice."""
    with pytest.raises(UnfitLaunch, match=r"--host .*: (expected HOST, HOST:N|a is named twice)"):
        parsed_hosts([("--host", word) for word in words])


def test_more_workers_than_the_hosts_have_room_for_are_refused() -> None:
    """The sentence has both numbers."""
    with pytest.raises(UnfitLaunch, match="5 workers: the hosts have room for 4"):
        shares([HostShare("gpu1", 4)], 5)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["launch", *map(str, arguments)], prog_name="pbtnas")


def test_a_host_file_is_read_and_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    """With comments and empty lines; a line that names none, and no host at all, are told."""
    file = tmp_path / "hosts.txt"
    file.write_text("# ours\n\ngpu1:2  # the old one\n")
    shown = call("ssh", CONFIG, tmp_path / "run", "--hosts", file, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("setsid pbtnas worker") == 2
    file.write_text("# ours\n\ngpu1:2\ngpu2 slot=4\n")
    wrong = call("ssh", CONFIG, tmp_path / "run", "--hosts", file)
    assert (wrong.exit_code, wrong.output) == (
        2,
        f"pbtnas: {file}, line 4: gpu2 slot=4: expected HOST, HOST:N or HOST slots=N, as in "
        "gpu1:4\n",
    )
    none = call("ssh", CONFIG, tmp_path / "run")
    assert (none.exit_code, none.output) == (
        2,
        "pbtnas: no host: give --host HOST:N, or --hosts FILE\n",
    )
    lost = call("ssh", CONFIG, tmp_path / "run", "--hosts", tmp_path / "no.txt")
    assert lost.exit_code == 2 and "no.txt: No such file" in lost.output
    assert not (tmp_path / "run").exists()
