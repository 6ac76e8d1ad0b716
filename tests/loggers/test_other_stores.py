"""What wandb and MLflow read back is what the records say; `make test-loggers` installs both."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pbtnas.loggers.carrying import tell_once
from pbtnas.loggers.loading import make_logger
from tests.loggers.logged_runs import STORY, Curves, expected, run_until

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, and nothing in the environment that sends its numbers elsewhere."""
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "digits"
    run_until(root, len(STORY))
    return root


def test_mlflow_reads_what_the_records_say(run: Path) -> None:
    """One run for the search, a child for each member, in a store of files; told once more, it
    has each number once."""
    pytest.importorskip("mlflow")
    tell = partial(tell_once, run, "mlflow", partial(make_logger, "mlflow"))
    tell()
    (run / "log" / "mlflow.told").unlink()
    tell()
    from mlflow.tracking import MlflowClient

    client: Any = MlflowClient((run / "log" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("digits")
    found = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    told: Curves = {}
    for name, made in found.items():
        histories = {k: client.get_metric_history(made.info.run_id, k) for k in made.data.metrics}
        told[name] = {k: [(m.step, m.value) for m in ms] for k, ms in histories.items()}

    assert told == expected(run)
    parents = {name: r.data.tags.get("mlflow.parentRunId") for name, r in found.items()}
    population = found["population"].info.run_id
    assert parents == {name: None if name == "population" else population for name in found}


def test_wandb_reads_what_the_records_say(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One group for the search and a run in it for each member, in offline files that `wandb sync`
    sends."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tell_once(run, "wandb", partial(make_logger, "wandb"))

    told: Curves = {}
    groups = set()
    for file in (run / "log" / "wandb").rglob("*.wandb"):
        name, group, rows = _offline(file)
        groups.add(group)
        curves = told.setdefault(name, {})
        for row in rows:
            at = row.pop("network_epochs")
            for key, value in row.items():
                if not key.startswith("_") and key != "training/phase":
                    curves.setdefault(key, []).append((at, value))
    assert told == expected(run)
    assert len(groups) == 1


def _offline(file: Path) -> tuple[str, str, list[dict[str, Any]]]:
    """Name, group and history of an offline run."""
    from wandb.proto import wandb_internal_pb2 as messages

    name, group, rows = "", "", []
    for data in _chunks(file.read_bytes()):
        record = messages.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name, group = record.run.display_name, record.run.run_group
        elif kind == "history":
            items = record.history.item
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
    return name, group, rows


HEADER, BLOCK, WHOLE, LAST = 7, 1 << 15, 1, 4


def _chunks(data: bytes) -> Iterator[bytes]:
    """The records of wandb's file, whose form is that of LevelDB's logs."""
    at, parts = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # no room for another in this block
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
