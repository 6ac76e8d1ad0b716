"""The envelope of every record: versioned canonical JSON that proves its own integrity.

A record has a `core`, which decides outcomes and is hashed into the chain, and a `meta` (who,
when, which attempt), which is outside the chain: the final fingerprint does not depend on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pbtnas.errors import PbtnasError
from pbtnas.records.names import Digest

VERSION = 1
GUARD = 2
"""Version of a record of engine settings that keeps versions of pbtnas which do not know controls
from runs whose outcome a control has changed: they refuse what is newer."""


class RecordError(PbtnasError):
    """A record that cannot be used; the message is one sentence naming it."""


class CorruptRecord(RecordError):
    """Torn, truncated or altered: its checksum does not match its content."""


class UnreadableRecord(CorruptRecord):
    """There, but without content to be had: a bad sector, a pipe, far too many bytes."""


class ForeignRecord(RecordError):
    """Intact, but of another run, kind or a newer format version."""


@dataclass(frozen=True)
class Record:
    """One write-once record.

    Args:
        kind: Kind: run, claim, end, result, selection, birth, manifest, final...
        run: Id of the run it belongs to.
        core: JSON that decides outcomes.
        meta: JSON for people and for efficiency; never decides an outcome.
        nonce: Text unique to the writer, so that a publisher recognises its own record.
    """

    kind: str
    run: str
    core: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    nonce: str = ""

    @property
    def digest(self) -> Digest:
        """SHA-256 of kind and core: what the hash chain holds."""
        return digest([self.kind, self.core])


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, no NaN; floats by shortest exact form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def digest(value: Any) -> Digest:
    """SHA-256 of the canonical JSON, as 64 hex digits."""
    return Digest(hashlib.sha256(canonical(value)).hexdigest())


def encode(record: Record, name: str | None = None, *, version: int = VERSION) -> bytes:
    """The bytes of a record to be published under that name, its checksum last.

    A record that states its name cannot be taken for another one of the same kind, as when a
    backup is restored to the wrong place.  Every process of a run states it.
    """
    body = {
        "core": record.core,
        "kind": record.kind,
        "meta": record.meta,
        "nonce": record.nonce,
        "run": record.run,
        "v": version,
    }
    if name is not None:
        body["name"] = name
    return canonical({**body, "sha256": digest(body)}) + b"\n"


def decode(data: bytes, name: str, *, kind: str, run: str | None = None) -> Record:
    """Read a record, or say in one sentence why it cannot be used.

    Raises `CorruptRecord` when the bytes are not what was written under that name,
    `ForeignRecord` when they are of a newer version, another kind or another run (`run=None`
    accepts any).  Records written before they stated their names are accepted under any.
    """
    try:
        body = json.loads(data)
        checksum = body.pop("sha256")
        intact = digest(body) == checksum and "v" in body
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise CorruptRecord(f"{name}: not an intact record (its checksum does not match)")
    if body["v"] != VERSION and (body["v"], kind) != (GUARD, "engine"):
        raise ForeignRecord(
            f"{name}: written in format version {body['v']}; this pbtnas reads version {VERSION}"
        )
    if not body.keys() >= {"core", "kind", "meta", "nonce", "run"}:
        raise CorruptRecord(f"{name}: not an intact record (keys are missing)")
    if body["kind"] != kind:
        raise ForeignRecord(f"{name}: a record of kind {body['kind']!r}, expected {kind!r}")
    if run is not None and body["run"] != run:
        raise ForeignRecord(f"{name}: belongs to run {body['run']}, not to run {run}")
    if body.get("name", name) != name:
        raise CorruptRecord(f"{name}: holds another record, {body['name']}")
    return Record(kind, body["run"], body["core"], body["meta"], body["nonce"])


def is_guard(data: bytes) -> bool:
    """Whether a record is one that earlier versions of pbtnas refuse."""
    try:
        return bool(json.loads(data)["v"] == GUARD)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
