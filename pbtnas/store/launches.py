"""Publishes and reads what other schedulers were asked for a run, which need not have begun."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pbtnas.protocol.operations import Published
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, encode
from pbtnas.records.launches import Launch
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import best_primitive, make_directory


def last_launches(root: Path) -> dict[str, tuple[int, Launch]]:
    """The newest launch of a run by each engine that can be read, and its number.

    Raises `OSError` when the directory cannot be read, and `ForeignRecord` for a newer version's.
    """
    found = {}
    try:
        with RunReader(root) as files:
            leaves = map(paths.launch_number, files.names(paths.LAUNCH))
            for number in sorted(n for n in leaves if n is not None):
                name = paths.launch(number)
                with suppress(CorruptRecord):  # fsck says so; one before tells how jobs are called
                    record = files.record(name, "launch")
                    if record is not None:
                        launch = Launch.from_json(record.core, name)
                        found[launch.engine] = number, launch
    except FileNotFoundError:
        return {}
    return found


def record_launch(root: Path, launch: Launch) -> int:
    """Publish a launch under the first number that is free, unless the last one says the same.

    Returns the number.  Raises `NotARun` and `OSError` where the directory cannot be written.
    """
    make_directory(root / paths.LAUNCH)
    meta = {
        "by": this_process("l")["worker"],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record = Record("launch", "", launch.to_json(), meta, new_nonce())
    writer = f"launch-{secrets.token_hex(4)}"
    while True:
        found = last_launches(root).get(launch.engine)
        if found is not None and found[1].to_json() == launch.to_json():
            return found[0]
        with PosixStore(root, writer, primitive=best_primitive(root)) as store:
            number = _next(store)
            name = paths.launch(number)
            if store.put(name, encode(record, name)) is Published.WON:
                return number


def _next(files: RunReader) -> int:
    leaves = map(paths.launch_number, files.names(paths.LAUNCH))
    return max((n for n in leaves if n is not None), default=0) + 1


def write_script(root: Path, leaf: str, text: str) -> Path:
    """Write a script of a launch, for people to read and for a scheduler to run.

    Two that write the same at once write the same bytes.  Raises `OSError`.
    """
    path = root / paths.launch_file(leaf)
    private = path.with_name(f"{paths.PRIVATE}{secrets.token_hex(4)}-{leaf}")
    private.write_text(text)
    private.replace(path)
    return path


def is_over(root: Path) -> bool:
    """Whether the run has ended, by the records that say so."""
    from pbtnas.store.controls import end_in, steering_of

    try:
        with RunReader(root) as files:
            return end_in(files, steering_of(files, None)[0]) is not None
    except FileNotFoundError:
        return False
