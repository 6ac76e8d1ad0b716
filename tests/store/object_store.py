"""An object store on this machine: the S3 of moto, and a proxy before it that loses and repeats.

Needs the extra `pbtnas[bucket]` and moto's server, which requirements-dev.txt names.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.system.site import wait_until

CONFLICT = (
    b"<Error><Code>ConditionalRequestConflict</Code><Message>made by a test</Message></Error>"
)

ELSEWHERE = (
    b"<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be"
    b" addressed using the specified endpoint.</Message></Error>"
)


def environment_of(endpoint: str) -> dict[str, str]:
    """What a client is told of a store at that address."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }


@contextmanager
def moto(unsigned: int | None = None) -> Iterator[str]:
    """The address of a server that keeps objects in memory, with a bucket `runs`.

    Args:
        unsigned: After how many more requests it looks at credentials; never, if None.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    if unsigned is not None:
        environment["INITIAL_NO_AUTH_ACTION_COUNT"] = str(1 + unsigned)
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )

    def made() -> bool:
        assert process.poll() is None, "moto's server has ended"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("PUT", "/runs")
            return connection.getresponse().status == 200
        except OSError:
            return False

    try:
        wait_until(made, "moto's server", 60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def moto_with_users() -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """The address of a server that looks at credentials, and those of its users by name: `writer`
    may do all to the bucket `runs`, `reader` may read."""
    import boto3

    allowed = {"writer": ["s3:*"], "reader": ["s3:Get*", "s3:List*"]}
    with moto(unsigned=3 * len(allowed)) as endpoint:
        iam = boto3.client(
            "iam",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="root",
            aws_secret_access_key="root",
        )
        users = {}
        for user, actions in allowed.items():
            policy = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
            iam.create_user(UserName=user)
            key = iam.create_access_key(UserName=user)["AccessKey"]
            iam.put_user_policy(UserName=user, PolicyName="runs", PolicyDocument=document)
            users[user] = (key["AccessKeyId"], key["SecretAccessKey"])
        yield endpoint, users


@dataclass
class Faults:
    """What goes wrong with requests, as probabilities, and what has gone wrong so far.

    Args:
        lost: A request takes effect, and its reply is lost.
        repeated: A request is sent twice, and the second reply is the one that arrives.
        busy: The store says 503 and does nothing.
        conflict: A conditional PUT is refused with 409, as while another one is in work.
        denied: The credentials are wrong.
        unsupported: The store has no conditional PUT, and says so.
        elsewhere: The bucket is in another region, as Amazon says it.
        expired: The token of temporary credentials is no longer valid, as Amazon says it.
    """

    lost: float = 0.0
    repeated: float = 0.0
    busy: float = 0.0
    conflict: float = 0.0
    denied: float = 0.0
    unsupported: float = 0.0
    elsewhere: float = 0.0
    expired: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    counts: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def strikes(self, what: str) -> bool:
        if self.rng.random() >= getattr(self, what):
            return False
        self.counts[what] += 1
        return True


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on."""

    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: str

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        faults, conditional = self.faults, "If-None-Match" in self.headers
        faults.requests[_sort(self.command, self.path, conditional)] += 1
        if conditional and faults.strikes("conflict"):
            return self._reply(409, [], CONFLICT)
        if faults.strikes("busy"):
            return self._reply(503, [], b"<Error><Code>SlowDown</Code></Error>")
        if conditional and faults.strikes("unsupported"):
            return self._reply(501, [], b"<Error><Code>NotImplemented</Code></Error>")
        if faults.strikes("denied"):
            return self._reply(403, [], b"<Error><Code>InvalidAccessKeyId</Code></Error>")
        if faults.strikes("elsewhere"):
            return self._reply(301, [("x-amz-bucket-region", "eu-west-1")], ELSEWHERE)
        if faults.strikes("expired"):
            return self._reply(400, [], b"<Error><Code>ExpiredToken</Code></Error>")
        if faults.strikes("repeated"):
            self._ask(body)
        answer = self._ask(body)
        if faults.strikes("lost"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self._reply(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        address = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, reply.getheaders(), content

    def _reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            hop = ("connection", "transfer-encoding", "date", "server")
            if name.lower() not in (*hop, *([] if self.command == "HEAD" else ["content-length"])):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return


def _sort(command: str, path: str, conditional: bool) -> str:
    """What a price list calls a request."""
    if command == "GET" and "list-type=2" in path:
        return "LIST"
    if command == "PUT" and conditional:
        return "conditional PUT"
    if command == "PUT" and ".beat" in path:
        return "PUT of a heartbeat"
    return command


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no error of the proxy."""
        return


@contextmanager
def proxy(upstream: str, faults: Faults) -> Iterator[str]:
    """The address of a proxy before a store, with which things go wrong."""
    handler = type("Handler", (_Handler,), {"faults": faults, "upstream": upstream})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
