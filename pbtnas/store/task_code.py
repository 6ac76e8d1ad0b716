"""Holds a run to the code of its task: what differs is told, and goes on only when accepted."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.protocol.operations import Published
from pbtnas.records import paths
from pbtnas.records.code_changes import changes
from pbtnas.records.envelope import Record, encode
from pbtnas.records.task_code import TaskCode
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import open_files, open_store
from pbtnas.store.run_directory import Run, open_run

ACCEPT = "--accept-code-change"
LOOK_S = 1.0  # between two looks for other code


class OtherCode(PbtnasError):
    """The code of the task is not the one that the run goes on with."""

    exit_code = ExitCode.USAGE

    def __init__(self, root: Path, then: TaskCode, lines: list[str], ways: list[str]) -> None:
        head = f"{root}: the code of the task {then.title} is not that of the run:"
        super().__init__("\n".join([head, *(f"  {line}" for line in lines), *ways]))


def check_code(root: Path, run: Run, code: TaskCode, *, accept: bool) -> None:
    """Raise `OtherCode` unless the task has the code that the run goes on with.

    With `accept`, record that it goes on with this code from now on, whatever it had been; also
    where a run records none.  Raises `OSError` when that cannot be written.
    """
    then = run.codes.in_force
    differing = [] if then is None else changes(then, code)
    if then is not None and differing and not accept:
        kept = then.main and then.files[then.main].text is not None
        copy = f", as printed by: pbtnas show {root} --code {then.main}" if kept else ""
        ways = [
            f"to go on with the code of the run, put it back{copy}",
            f"to go on with the code of here, give {ACCEPT}; the run records it",
        ]
        raise OtherCode(root, then, differing, ways)
    if accept and code.known and (then is None or differing):
        _accept(root, run, code)


def _accept(root: Path, run: Run, code: TaskCode) -> None:
    with open_store(root, f"code-{secrets.token_hex(4)}", primitive=run.primitive) as store:
        while True:
            codes = open_run(root).codes
            then = codes.in_force
            if then is not None and not changes(then, code):
                return  # another process that was told to was first
            meta = {
                "by": this_process("a")["worker"],
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "from": None if then is None else then.digest,
                "to": code.digest,
            }
            name = paths.code(codes.next)
            record = Record("code", run.id, {"code": code.to_json()}, meta, new_nonce())
            if store.put(name, encode(record, name)) is Published.WON:
                return


class CodeInForce:
    """Looks, before a piece of work, whether the run still goes on with the code at hand.

    Others may have been told to accept another one meanwhile.  Who works in steps of milliseconds
    asks first whether a look is `due`.

    Args:
        root: The run directory.
        run: The run in it, as it was opened.
        code: The code of the task of this process.
    """

    def __init__(self, root: Path, run: Run, code: TaskCode) -> None:
        self._root = root
        self._code = code
        self._next = paths.code(run.codes.next)
        self._looked_s = float("-inf")

    @property
    def due(self) -> bool:
        """Whether the last look is a second ago."""
        return time.monotonic() - self._looked_s >= LOOK_S

    def check(self) -> None:
        """Raise `OtherCode` if another code was accepted since."""
        self._looked_s = time.monotonic()
        with open_files(self._root) as files:
            if not files.published(self._next):
                return
        codes = open_run(self._root).codes
        then = codes.in_force
        if then is not None and (differing := changes(then, self._code)):
            way = "other code was accepted since this process began; start it again"
            raise OtherCode(self._root, then, differing, [way])
        self._next = paths.code(codes.next)
