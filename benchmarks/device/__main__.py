"""What a GPU shows: python -m benchmarks.device [--device cuda:0] [--json FILE] [SECTION ...]

Each section is a process of its own with a limit of time, so that none can spoil another: a CUDA
context is unusable after most errors.  Prints a table as it goes, and writes it as JSON.  Ends with
1 if a section failed or a row says so.  `docs/gpu.md` has the figures of the GPUs seen so far.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path

from benchmarks.device.rows import Row
from benchmarks.device.sections import LIMITS_S, SECTIONS

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--device", default="cuda:0", help="default cuda:0; cpu tries it out")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if unknown := [name for name in told.sections if name not in SECTIONS]:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if not entry_points(group="pbtnas.tasks"):
        parser.error("pbtnas is not installed here, so its tasks have no names: pip install it")
    if told.alone:
        for row in SECTIONS[told.sections[0]](told.device):
            print(json.dumps(row), flush=True)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    found: dict[str, object] = {}
    failed = False
    for name in told.sections or SECTIONS:
        began_s = time.monotonic()
        print(f"\n{name}", flush=True)
        rows, trouble = rows_of(name, told.device)
        took_s = time.monotonic() - began_s
        print(f"  ({took_s:.0f} s)", flush=True)
        if trouble:
            print(f"  FAILED: {trouble}", flush=True)
        failed |= bool(trouble) or any(row[-1] == "WRONG" for row in rows)
        found[name] = {"rows": rows, "seconds": round(took_s, 1), "failed": trouble}
        if told.json:
            told.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(failed)


def rows_of(section: str, device: str) -> tuple[list[Row], str]:
    """What a section prints, shown as it comes; and why it ended before its end, if it did."""
    command = [sys.executable, "-m", "benchmarks.device", section, "--device", device, "--alone"]
    # Where a CPU tries the check out, nobody pays for the minutes.
    limit_s = LIMITS_S[section] * (1 if device.startswith("cuda") else 5)
    rows: list[Row] = []
    overdue = threading.Event()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

        def end() -> None:
            """With all that it has started, which would slow down the sections that follow."""
            overdue.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            assert process.stdout, "it is a pipe"
            for line in process.stdout:
                if line.startswith("["):
                    rows.append(json.loads(line))
                    print("  " + "  ".join(f"{cell}" for cell in rows[-1]), flush=True)
            process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                end()
        errors.seek(0)
        said = errors.read()[-2000:] if process.returncode else ""
    return rows, f"not done within {limit_s} s" if overdue.is_set() else said


if __name__ == "__main__":
    main()
