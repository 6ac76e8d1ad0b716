"""Examines a run directory: every file that its kind lets anybody check.

Records have a checksum, state their names, and hold digests or copies of one another; checkpoints,
snapshots and products are named by their digest or hold it.  What nobody can check (who took a
claim, which score a final evaluation found) is told in docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import Record, digest
from pbtnas.records.kinds import RUN_KINDS
from pbtnas.records.names import Digest
from pbtnas.store.fsck.around import (
    examine_afterwards,
    examine_products,
    examine_settings,
    examine_views,
)
from pbtnas.store.fsck.chain import GIVEN, examine_chain
from pbtnas.store.fsck.examination import Examination, Fault
from pbtnas.store.fsck.members import (
    examine_births,
    examine_claims,
    examine_results,
    examine_weights,
)
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import NotARun, check_format


def check(root: Path) -> list[Fault]:
    """Everything wrong with a run directory, by name.

    Raises `NotARun` when it is none, `ForeignRecord` when it is of another version.
    """
    if not _holds_records(root):
        check_format(root)
    with open_files(root) as files:
        x = Examination(files, RUN_KINDS)
        _format(x, root)
        run, config = _beginning(x)
        settings = None if config is None else config.core
        chain = examine_chain(x, settings, _origin(run, settings))
        examine_settings(x, run, settings)
        results = examine_results(x, chain)
        examine_births(x, chain)
        algorithm = _algorithm(run, settings)
        if algorithm is not None:
            examine_weights(x, chain, results, algorithm)
            examine_afterwards(x, chain, algorithm)
        examine_products(x, chain)
        examine_claims(x)
        examine_views(x, chain)
        return x.faults()


def _holds_records(root: Path) -> bool:
    """Whether a directory is that of a run, whatever its file FORMAT says."""
    try:
        with open_files(root) as files:
            return files.published(paths.RUN) or files.published(paths.CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _format(x: Examination, root: Path) -> None:
    content = x.content(paths.FORMAT, "restored")
    if content is None and not x.there(paths.FORMAT):
        x.missing(paths.FORMAT, "restored", paths.FORMAT_TEXT)
    elif content is None:
        x.restore(paths.FORMAT, paths.FORMAT_TEXT)
    elif content != paths.FORMAT_TEXT:
        try:
            check_format(root)  # raises `ForeignRecord` for another version
        except NotARun:
            x.damaged(paths.FORMAT, "damaged; restored", paths.FORMAT_TEXT)


def _beginning(x: Examination) -> tuple[Record | None, Record | None]:
    """`run.json` and the configuration.  Of which run they are, the first manifest tells."""
    told = (paths.manifest(0), "manifest"), (paths.RUN, "run"), (paths.CONFIG, "config")
    x.run = next((record.run for name, kind in told if (record := x.peek(name, kind))), None)
    run = x.record(paths.RUN, "run", GIVEN)
    config = x.record(paths.CONFIG, "config", GIVEN)
    for name in (paths.RUN, paths.CONFIG):
        if not x.there(name):
            x.missing(name, GIVEN)
    if config is not None and not all(
        isinstance(config.core.get(section), Mapping) for section in ("task", "search", "run")
    ):
        x.damaged(paths.CONFIG, f"not what a configuration holds; {GIVEN}")
        config = None
    return run, config


def _origin(run: Record | None, config: Mapping[str, Any] | None) -> Digest | None:
    """The digest that the chain begins with (`engine.run_setup.search_of`)."""
    if run is None or config is None:
        return None
    outcome = {section: values for section, values in config.items() if section != "engine"}
    return digest(["origin", outcome, run.core.get("space")])


def _algorithm(run: Record | None, config: Mapping[str, Any] | None) -> str | None:
    """The algorithm of the checkpoints' digests."""
    found = None if run is None else run.core.get("hash")
    return found or (None if config is None else config["run"].get("checkpoint_hash"))
