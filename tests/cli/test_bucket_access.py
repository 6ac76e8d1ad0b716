"""A bucket that this process may not use: one sentence at the start, and nothing is waited for.

The store is moto's, which looks at credentials and at what their user may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.cli import cli, places
from pbtnas.engine import presence
from pbtnas.errors import ExitCode
from pbtnas.store.bucket import checking
from pbtnas.store.bucket.address import local_directory
from pbtnas.store.bucket.client import client_of
from pbtnas.store.identity import this_process
from tests.store.object_store import Faults, environment_of, moto_with_users, proxy
from tests.system.site import CONFIG, TASK

pytest.importorskip("obstore")
pytest.importorskip("moto")

URL = "s3://runs/c10"
ALL = ("coordinator", "worker", "worker-alive", "status")
TOLD = "; credentials, endpoint and region come from the environment, as docs/buckets.md tells\n"


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """Its address, and the keys of its users."""
    with moto_with_users() as found:
        yield found


@pytest.fixture(autouse=True)
def environment(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """What `writer` has to be told; a test then takes something of it away."""
    endpoint, users = store
    for name, value in environment_of(endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PBTNAS_CACHE", str(tmp_path / "cache"))
    be("writer", users, monkeypatch)
    client_of.cache_clear()
    checking._SURE.clear()
    yield monkeypatch
    client_of.cache_clear()
    checking._SURE.clear()
    places._places.clear()


def be(user: str, users: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the keys of a user."""
    for name, value in zip(("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), users[user], strict=True):
        monkeypatch.setenv(f"AWS_{name}", value)


def refused(directory: Path, command: str, url: str = URL) -> str:
    """What a command says that ends with 2."""
    config = directory / "config.yaml"
    config.write_text(CONFIG)
    words = {"coordinator": [str(config), url, "--task", TASK], "worker": [url, "--device", "cpu"]}
    done = CliRunner().invoke(cli, [command, *words.get(command, [url])], prog_name="pbtnas")
    assert done.exit_code == ExitCode.USAGE, done.output
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "403 Forbidden: InvalidAccessKeyId: "),
        ({"AWS_SECRET_ACCESS_KEY": "guessed"}, "403 Forbidden: SignatureDoesNotMatch: "),
    ],
    ids=["key", "secret"],
)
def test_wrong_keys_are_told_by_all_commands(
    environment: pytest.MonkeyPatch, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    """In the words of the store, with where the keys come from."""
    for name, value in wrong.items():
        environment.setenv(name, value)
    for command in ALL:
        told = refused(tmp_path, command)
        assert told.startswith(f"pbtnas: {URL}: access denied: GET http://127.0.0.1:")
        assert said in told and told.endswith(TOLD)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": None}, f"{URL}: Generic S3 error: Missing SecretAccessKey; "),
        (
            {"AWS_ENDPOINT_URL": "minio:9000"},
            "AWS_ENDPOINT_URL=minio:9000: expected a URL, such as https://store:9000",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_ALLOW_HTTP": None},
            "AWS_ENDPOINT_URL=http://minio:9000: an http:// address needs AWS_ALLOW_HTTP=true",
        ),
    ],
    ids=["half a key", "no URL", "no permission"],
)
def test_variables_that_cannot_be_used_are_named(
    environment: pytest.MonkeyPatch, tmp_path: Path, wrong: dict[str, str | None], said: str
) -> None:
    """Before anything is asked: the library itself panics, or says that a builder has an error."""
    for name, value in wrong.items():
        if value is None:
            environment.delenv(name)
        else:
            environment.setenv(name, value)
    assert refused(tmp_path, "worker").startswith(f"pbtnas: {said}")


def test_no_keys_at_all_are_told(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no machine or pod with a role either, which is what the library asks last."""
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    assert refused(tmp_path, "worker") == f"pbtnas: {URL}: no credentials were found{TOLD}"


def test_a_bucket_that_is_not_there_is_told_by_all_commands(tmp_path: Path) -> None:
    """Nobody waits for it to be made."""
    for command in ALL:
        told = refused(tmp_path, command, "s3://nobodys/c10")
        assert told == "pbtnas: s3://nobodys/c10: there is no such bucket\n"


@contextmanager
def between(store: Any, environment: pytest.MonkeyPatch, **faults: float) -> Iterator[None]:
    """A proxy before the store, with which things go wrong."""
    with proxy(store[0], Faults(**faults)) as endpoint:  # type: ignore[arg-type]
        environment.setenv("AWS_ENDPOINT_URL", endpoint)
        yield


def test_another_region_is_told(
    store: Any, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Amazon redirects to nowhere; the sentence names the variable."""
    with between(store, environment, elsewhere=1.0):
        environment.setenv("AWS_REGION", "eu-north-1")
        told = refused(tmp_path, "worker")
        assert told == (
            f"pbtnas: {URL}: the bucket is in another region than eu-north-1 (AWS_REGION){TOLD}"
        )
        environment.delenv("AWS_REGION")
        client_of.cache_clear()
        assert "than us-east-1, for AWS_REGION is not set; " in refused(tmp_path, "worker")


def test_a_token_that_is_over_is_told(
    store: Any, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its answer is 400 and no 403; it is not one that passes."""
    with between(store, environment, expired=1.0):
        told = refused(tmp_path, "worker")
    assert "/runs: 400 Bad Request: ExpiredToken; credentials, " in told


def test_who_may_only_read_is_told_before_it_coordinates(
    store: Any, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A write that is denied at first is no trouble that passes."""
    be("reader", store[1], environment)
    told = refused(tmp_path, "coordinator")
    assert told.startswith(f"pbtnas: {URL}: can be read, but not written and deleted: access ")
    assert ": 403 Forbidden: AccessDenied: " in told and told.endswith(TOLD)


def test_a_probe_waits_for_a_bucket_as_its_worker_does(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker whose bucket does not answer is not ended for that: its next would not do better.
    Where there is no worker the probe fails."""
    environment.setattr(presence, "default_scratch", lambda: tmp_path / "scratch")
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    failed = CliRunner().invoke(cli, ["worker-alive", URL], prog_name="pbtnas")
    presence.note_presence(local_directory(URL), this_process("w"))
    waited = CliRunner().invoke(cli, ["worker-alive", URL], prog_name="pbtnas")
    named = CliRunner().invoke(cli, ["worker-alive", URL, "w"], prog_name="pbtnas")

    said = f"pbtnas: {URL}: cannot be reached (GET http://127.0.0.1:9/runs: HTTP error: error "
    assert [done.exit_code for done in (failed, waited, named)] == [1, 0, 1]
    assert all(done.stderr.startswith(said) for done in (failed, waited, named))
    assert waited.stderr.endswith("; a worker of this machine is there\n")
