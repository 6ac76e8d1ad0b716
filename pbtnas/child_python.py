"""How this package starts Python in a process of its own: nothing in the current directory runs.

`python -m` and `python -c` look for every module in the current directory first, which may be a
run directory: a file `json.py` in it would be executed.  All children are started with what
stands here; `tests/test_child_python.py` enforces it.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_PACKAGE = Path(__file__).resolve().parent


def python_command(*arguments: str) -> list[str]:
    """The command `python ARGUMENTS`, without the current directory among the module paths."""
    return [sys.executable, "-P", *arguments]


def scripts() -> Path:
    """The directory of this Python's programs, with `pbtnas` among them."""
    return Path(sys.executable).parent


def become(*arguments: str) -> NoReturn:
    """Go on as such a process, in the place of this one."""
    sys.stdout.flush()
    command = python_command(*arguments)
    os.execve(command[0], command, python_environment())


def python_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of such a process: safe for its own children too.

    The user's PYTHONPATH holds.  A source checkout that is not installed comes after it, since
    the child does not find the package beside the script that was started.
    """
    environment = {**os.environ, **(changes or {}), "PYTHONSAFEPATH": "1"}
    if _PACKAGE.parent.name not in ("site-packages", "dist-packages"):
        given = environment.get("PYTHONPATH", "")
        known = given.split(os.pathsep) if given else []
        if str(_PACKAGE.parent) not in known:
            environment["PYTHONPATH"] = os.pathsep.join([*known, str(_PACKAGE.parent)])
    return environment


def run_as_main(module: str, arguments: Sequence[str]) -> None:
    """Do in this process what that command does: for one that was forked in such an environment."""
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def forget_current_directory() -> None:
    """Take away the module path that `python -m pbtnas` puts first, unless the package is there."""
    first = sys.path[0] if sys.path else None
    if sys.flags.safe_path or first is None or Path(first).resolve() == _PACKAGE.parent:
        return
    if first in ("", str(Path.cwd())):
        del sys.path[0]
