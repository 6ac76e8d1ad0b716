"""The script that the page gives for Slurm, run with a pbtnas and a Slurm of the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_docs import FENCED, ROOT
from tests.system.site import wait_until

SCRIPT = ROOT / "examples" / "slurm" / "pbtnas.sbatch"
WORKER = """#!/bin/bash
trap 'sleep 0.2; exit 75' USR1 TERM
touch $WORKING
while sleep 0.02; do :; done
"""


def test_the_script_of_the_page_is_the_examples() -> None:
    """What a reader copies is what the tests run."""
    page = (ROOT / "docs" / "operating.md").read_text()
    assert SCRIPT.read_text() in [block for language, block in FENCED.findall(page) if not language]


@pytest.mark.parametrize(
    ("signals", "array", "requeued"),
    [
        (("USR1",), True, "requeue 40_3\n"),
        (("USR1", "USR1"), False, "requeue 43\n"),
        (("TERM",), True, ""),
        (("USR1", "TERM"), True, ""),
    ],
)
def test_only_who_runs_out_of_time_is_queued_again(
    tmp_path: Path, signals: tuple[str, ...], array: bool, requeued: str
) -> None:
    """One task of an array, never the array; never who was cancelled, even while it hands back."""
    for name, text in {"pbtnas": WORKER, "scontrol": "#!/bin/bash\necho $@\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    of_array = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "3"} if array else {}
    working = tmp_path / "working"
    job = subprocess.Popen(
        ["bash", str(SCRIPT), "worker"],
        stdout=subprocess.PIPE,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("SLURM_")},
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "WORKING": str(working),
            "SLURM_JOB_ID": "43",
            **of_array,
        },
    )
    wait_until(working.exists, "the worker to begin")
    for name in signals:
        subprocess.run(["kill", f"-{name}", str(job.pid)], check=True)

    assert job.communicate()[0].decode() == requeued
    assert job.returncode == 75


@pytest.mark.parametrize("code", [0, 1, 69, 137])
def test_the_code_of_the_job_is_that_of_its_process(tmp_path: Path, code: int) -> None:
    """Who ends by himself is not queued again."""
    (tmp_path / "pbtnas").write_text(f"#!/bin/bash\nexit {code}\n")
    (tmp_path / "pbtnas").chmod(0o755)
    (tmp_path / "scontrol").symlink_to("/bin/echo")
    job = subprocess.run(
        ["bash", str(SCRIPT), "worker"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "43"},
        check=False,
    )

    assert (job.returncode, job.stdout) == (code, b"")
