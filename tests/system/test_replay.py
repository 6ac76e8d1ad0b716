"""A member's ancestry, trained again alone, has the digests of a search by many processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from tests.system.site import TASK, Site


@pytest.mark.slow
def test_the_winner_is_no_luck_of_a_machine(site: Site) -> None:
    """Everything that made the best member of the last generation is done again in one process, to
    the last bit; and a run in which one score is another is found out."""
    assert site.run(2).process.wait() == 0
    last = site.selected(3)
    born = {birth.member for g in range(3) for birth in site.selected(g).births}
    child = next(member for member in last.ranking if member in born)
    again = ("replay", str(site.run_dir), "--task", TASK, "--device", "cpu")
    again = (*again, "--scratch", str(site.directory / "scratch"), "--member", f"m{child:02d}")

    replayed = site.start(*again)
    assert replayed.process.wait() == 0, replayed.said()
    assert "mixed to the same" in replayed.said()
    assert "all to the digests of the run" in replayed.said()
    told = json.loads((site.run_dir / f"artifacts/replay-g0003-m{child:02d}.json").read_text())
    assert told["steps"][-1]["jobs"][0]["checkpoint"] == last.result(child).checkpoint
    assert not list(Path(site.directory / "scratch").glob("replay-*"))

    member = told["steps"][0]["jobs"][0]["member"]
    name = paths.result(0, member)
    record = site.record(name, "result")
    forged = Record("result", record.run, {**record.core, "score": 0.125}, {}, "forged")
    (site.run_dir / name).write_bytes(encode(forged, name))
    differs = site.start(*again)
    assert differs.process.wait() == 1
    assert f"generation 0 m{member:02d}: its score was 0.125, and is " in differs.said()
