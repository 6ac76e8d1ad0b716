"""The command `python -m pbtnas.training`: one training process, started by a worker."""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pbtnas.determinism import use_threads
from pbtnas.errors import PbtnasError
from pbtnas.logs import log_to_stderr
from pbtnas.records.schema import Job
from pbtnas.training.channel import Channel
from pbtnas.training.signals import leave_to_the_worker
from pbtnas.training.trainer import Setting, Trainer, cannot_begin


def main(
    setting: Mapping[str, Any], connection: socket.socket, parent: int, signals: Collection[int]
) -> None:
    """Serve the worker at the other end of the socket until it closes.

    Args:
        setting: The fields of `Setting`.
        connection: The socket.
        parent: The process id of the worker.
        signals: The signals that ask the worker to stop.
    """
    if os.getppid() != parent:
        sys.exit("the worker was gone before its training process began")
    faulthandler.enable()
    log_to_stderr()
    leave_to_the_worker(signals)
    if threads := os.environ.get("OPENBLAS_NUM_THREADS"):
        use_threads(int(threads))  # a fork's BLAS was loaded with one, so that it could be forked
    channel = Channel(connection)
    try:
        trainer = Trainer(Setting(**setting), channel)
    except PbtnasError as error:
        channel.send(**cannot_begin(error))
        return
    channel.send(ready=True)
    while (message := channel.receive()) is not None:
        if "job" in message:
            job = Job.from_json(message["job"])
            channel.send(**trainer.carry_out(Path(message["root"]), job, message["attempt"]))


if __name__ == "__main__":
    _told = json.loads(sys.argv[1])
    main(_told["setting"], socket.socket(fileno=_told["fd"]), _told["parent"], _told["signals"])
