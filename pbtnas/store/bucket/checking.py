"""Finds out, before anything rests on it, whether a bucket can be reached and can carry a run."""

from __future__ import annotations

import os
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from pbtnas.errors import MachineTrouble
from pbtnas.records import paths
from pbtnas.store.bucket.client import AWAY, DENIED, UNKNOWN, Client, Refused

WRITERS, SLOTS, TRIES = 8, 10, 10
_NO_CREDENTIALS = "169.254.169.254"  # where a machine in the cloud asks for its own, as last resort
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ENVIRONMENT = (
    "credentials, endpoint and region come from the environment, as docs/buckets.md tells"
)
_SURE: set[str] = set()  # URLs of stores that were found to publish without replacing


def check_reachable(client: Client) -> None:
    """Ask for one listing.  Nothing has begun: whoever is refused is told, and need not wait.

    Raises `Refused`, and `MachineTrouble` for a store that does not answer.
    """
    try:
        client.names("")
    except FileNotFoundError as error:
        raise Refused(f"{client.url}: there is no such bucket") from error
    except OSError as error:
        if _NO_CREDENTIALS in str(error.strerror):
            raise Refused(f"{client.url}: no credentials were found; {_ENVIRONMENT}") from error
        if "NoSuchBucket" in str(error.strerror) or "404 Not Found" in str(error.strerror):
            raise Refused(f"{client.url}: there is no such bucket") from error
        if "Received redirect" in str(error.strerror):  # the store knows where, and not the library
            raise Refused(
                f"{client.url}: the bucket is in another region than {_region()}; {_ENVIRONMENT}"
            ) from error
        if error.errno == AWAY and "400 Bad Request" not in str(error.strerror):
            raise MachineTrouble(f"{client.url}: cannot be reached ({error.strerror})") from error
        raise Refused(f"{client.url}: {error.strerror}; {_ENVIRONMENT}") from error


def check_conditional(client: Client) -> None:
    """Publish a name twice, and delete it, once for each process and store.

    Raises `Refused` where the store would let two writers win, or does not let this process write
    and delete, and `OSError` where that cannot be found out now.
    """
    if client.url in _SURE:
        return
    try:
        first, second = _published_twice(client, f"{paths.PRIVATE}probe-{secrets.token_hex(8)}")
    except OSError as error:
        if error.errno == UNKNOWN:
            raise Refused(_no_conditional(client, str(error.strerror))) from error
        if error.errno == DENIED:
            raise Refused(
                f"{client.url}: can be read, but not written and deleted: {error.strerror}; "
                f"{_ENVIRONMENT}"
            ) from error
        raise
    if not first or second:
        raise Refused(_no_conditional(client, "it replaces what is there"))
    _SURE.add(client.url)


def _published_twice(client: Client, name: str) -> tuple[bool, bool]:
    """Whether the first and the second of two writers wins a name that nobody has written."""
    first = client.put_new(name, b"first")
    try:
        return first, client.put_new(name, b"second")
    finally:
        client.delete([name])


def _region() -> str:
    """The region that the library asks in."""
    named = (f"{os.environ[name]} ({name})" for name in _REGIONS if os.environ.get(name))
    return next(named, f"us-east-1, for {_REGIONS[0]} is not set")


def _no_conditional(client: Client, why: str) -> str:
    return (
        f"{client.url}: this store has no conditional PUT (If-None-Match: *), without which two "
        f"workers may win the same name: {why}"
    )


def trials(client: Client) -> Iterator[tuple[bool, str]]:
    """What `pbtnas doctor` tries in a bucket: whether it is good, and a sentence on each.

    Raises `OSError` and what the checks raise.  Nothing of it stays behind.
    """
    check_reachable(client)
    yield True, f"{client.url}: can be reached"
    place = f"{paths.PRIVATE}doctor-{secrets.token_hex(8)}"
    written: list[str] = []

    def name(leaf: str) -> str:
        written.append(f"{place}-{leaf}")
        return written[-1]

    try:
        try:
            check_conditional(client)
        except Refused as error:
            yield False, str(error)
            return
        yield True, "a name that is there is not replaced (conditional PUT)"
        yield _one_winner(client, [name(f"slot-{i}") for i in range(SLOTS)])
        yield _seen_at_once(client, name)
        put = _median_ms(lambda i: client.put_new(name(f"new-{i}"), b"x" * 800))
        get = _median_ms(lambda i: client.get(f"{place}-new-{i}"))
        beat_name = name("beat")
        beat = _median_ms(lambda i: client.put(beat_name, b"x" * 128))
        yield True, f"a publish takes {put:.1f} ms, a read {get:.1f} ms, a heartbeat {beat:.1f} ms"
    finally:
        client.delete(written)


def _one_winner(client: Client, names: list[str]) -> tuple[bool, str]:
    wins: list[str] = []
    barrier = threading.Barrier(WRITERS)
    broken: list[OSError] = []

    def race(writer: int) -> None:
        barrier.wait()
        for name in names:
            try:
                if client.put_new(name, b"%d" % writer):
                    wins.append(name)
            except OSError as error:
                broken.append(error)
                return

    threads = [threading.Thread(target=race, args=(i,)) for i in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    good = sorted(wins) == sorted(names)
    what = "exactly one winner each" if good else f"{len(wins)} winners: not safe for a run"
    return good, f"{WRITERS} writers for {len(names)} names: {what}"


def _seen_at_once(client: Client, name: Callable[[str], str]) -> tuple[bool, str]:
    """A name that was looked for in vain, then written, is there, and listed, at the next look."""
    late = 0
    for i in range(TRIES):
        looked_for = name(f"late-{i}")
        client.get(looked_for)
        client.put_new(looked_for, b"x")
        late += client.get(looked_for) is None or looked_for not in client.names("")
    if late:
        return False, f"{late} of {TRIES} new names were not seen at once: not safe for a run"
    return True, "a new name is seen, and listed, at once"


def _median_ms(ask: Callable[[int], object]) -> float:
    took = []
    for i in range(TRIES):
        began_s = time.perf_counter()
        ask(i)
        took.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(took)
