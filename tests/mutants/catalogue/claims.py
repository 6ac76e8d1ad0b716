"""Breaks who works on what: claims, leases, terms, and who is dead."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_CLAIMS = "pbtnas/protocol/claims.py"
_IDENTITY = "pbtnas/store/identity.py"
_TESTS = "tests/protocol/test_claims.py"
_DEATH = "tests/store/test_identity.py"

MUTANTS = (
    Mutant(
        "claim-without-lease",
        _CLAIMS,
        "(yield from self.silent_s(slot, attempt)) >= self.lease_s",
        "(yield from self.silent_s(slot, attempt)) >= 0.0",
        (_TESTS,),
    ),
    Mutant(
        "lease-that-never-ends",
        _CLAIMS,
        "return (yield from self.silent_s(slot, attempt)) >= self.lease_s",
        "yield from self.silent_s(slot, attempt)\n        return False",
        (_TESTS,),
    ),
    Mutant(
        "heartbeats-not-compared",
        _CLAIMS,
        "if name not in self._changed or self._changed[name][0] != beat:",
        "if name not in self._changed:",
        (_TESTS,),
    ),
    Mutant(
        "end-of-a-claim-ignored",
        _CLAIMS,
        """\
        if _is_there((yield from Get(paths.end(slot, attempt)))):
            return True
""",
        "",
        (_TESTS,),
    ),
    Mutant(
        "lost-claim-taken",
        _CLAIMS,
        "return attempt + 1 if reply is Published.WON else None",
        "return attempt + 1 if reply is not Published.ERROR else None",
        (_TESTS,),
    ),
    Mutant(
        "damaged-claim-is-free",
        _CLAIMS,
        "        if holder is not None and (yield from Dead(holder)):",
        "        if holder is None or (yield from Dead(holder)):",
        (_TESTS,),
    ),
    Mutant(
        "wall-clock-lease",
        "pbtnas/engine/driver.py",
        "return time.clock_gettime(_CLOCK)",
        "return time.time()",
        ("tests/engine/test_driver.py",),
    ),
    Mutant(
        "lease-that-stops-with-the-machine",
        "pbtnas/engine/driver.py",
        'getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)',
        "time.CLOCK_MONOTONIC",
        ("tests/engine/test_driver.py",),
    ),
    Mutant(
        "process-id-alone-proves-life",
        _IDENTITY,
        'return stat is not None and (stat[0] in "ZX" or int(stat[19]) != started)',
        'return stat is not None and stat[0] in "ZX"',
        (_DEATH,),
    ),
    Mutant(
        "boot-ignored",
        _IDENTITY,
        '(holder.get("boot"), holder.get("pid_namespace")) != (boot, namespace)',
        'holder.get("pid_namespace") != namespace',
        (_DEATH,),
    ),
    Mutant(
        "namespace-ignored",
        _IDENTITY,
        '(holder.get("boot"), holder.get("pid_namespace")) != (boot, namespace)',
        'holder.get("boot") != boot',
        (_DEATH,),
    ),
    Mutant(
        "no-permission-means-dead",
        _IDENTITY,
        "    except OSError:\n        return True  # it belongs to somebody else",
        "    except OSError:\n        return False",
        (_DEATH,),
    ),
    Mutant(
        "machines-by-the-beginning-of-their-names",
        _IDENTITY,
        'return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"',
        'return f"{readable}-{hashlib.sha256(readable.encode()).hexdigest()[:8]}"',
        (_DEATH,),
    ),
    Mutant(
        "second-coordinator-stays",
        "pbtnas/protocol/term.py",
        "if held and (yield from self._claims.moved(paths.TERM, held)):",
        "if not held:",
        ("tests/protocol/test_term.py",),
    ),
    Mutant(
        "superseded-coordinator-stays",
        "pbtnas/protocol/term.py",
        """\
        if (yield from self._claims.superseded(paths.TERM, self._number)):
            raise Leave(CoordinatorEnding.SUPERSEDED)
""",
        "",
        ("tests/protocol/test_term.py",),
    ),
    Mutant(
        "term-not-given-up",
        "pbtnas/protocol/term.py",
        "yield from self._claims.end(paths.TERM, self._number, core)",
        "yield from ()",
        ("tests/protocol/test_term.py",),
    ),
)
