"""A proxy before an object store that makes trouble on demand: slow, narrow, refusing, failing, hanging up.

    with FaultProxy(store.endpoint) as proxy:
        proxy.fail(500, after=20)          # the 21st request and all after it
        proxy.fail(403, methods={"PUT"})   # the store is read-only now
        proxy.drop(after=5, times=1)       # one connection is cut without an answer
        proxy.slow(latency=0.05, bandwidth=200_000)
        proxy.heal()

Point the site's ``store.endpoint`` (or BucketSettings.endpoint) to ``proxy.endpoint``. Signed requests go through, for the
Host header is left as the client wrote it.
"""

import http.client
import http.server
import re
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
BLOCK: Final = 64 * 1024
DROP: Final = 0
"""The status that stands for no answer at all."""

HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length", "te", "upgrade"}
CODES: Final = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True)
class Seen:
    """One request; ``status`` is what the client was told, 0 for nothing."""

    method: str
    target: str
    status: int


@dataclass
class _Trouble:
    """Which requests are hit. ``left`` None: all from now on."""

    status: int
    wait: int
    left: int | None
    methods: frozenset[str]
    matching: re.Pattern[str]

    def hits(self, method: str, target: str) -> bool:
        if (self.methods and method not in self.methods) or not self.matching.search(target) or self.left == 0:
            return False
        if self.wait > 0:
            self.wait -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultProxy:
    """Forwards every request to ``upstream`` (``http://host:port``) unless it is told otherwise. Safe between threads."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self.upstream = (address.hostname or HOST, address.port or 80)
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._troubles: list[_Trouble] = []
        self._latency = 0.0
        self._bandwidth: float | None = None
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.end_all()
        self._server.server_close()
        self._thread.join()

    # --- making trouble ---

    def fail(
        self,
        status: int,
        *,
        after: int = 0,
        times: int | None = None,
        methods: Collection[str] = (),
        matching: str = "",
    ) -> None:
        """Answers with that status instead of asking the store.

        Only requests of these ``methods`` whose path and query hold the regular expression ``matching`` count; the
        first ``after`` of them still go through, and after ``times`` failures the rest do again.
        """
        trouble = _Trouble(status, after, times, frozenset(methods), re.compile(matching))
        with self._lock:
            self._troubles.append(trouble)

    def drop(
        self, *, after: int = 0, times: int | None = None, methods: Collection[str] = (), matching: str = ""
    ) -> None:
        """As ``fail``, but the connection is cut without an answer."""
        self.fail(DROP, after=after, times=times, methods=methods, matching=matching)

    def slow(self, *, latency: float = 0.0, bandwidth: float | None = None) -> None:
        """Seconds before each request is passed on, and bytes per second of each connection, both ways."""
        self._latency, self._bandwidth = latency, bandwidth

    def heal(self) -> None:
        """Ends all trouble."""
        with self._lock:
            self._troubles.clear()
        self.slow()

    def count(self, method: str = "", matching: str = "") -> int:
        """How many requests were seen, failed ones too."""
        pattern = re.compile(matching)
        with self._lock:
            return sum(method in ("", seen.method) and bool(pattern.search(seen.target)) for seen in self.seen)

    # --- for the handler ---

    def fate(self, method: str, target: str) -> int | None:
        """The status of the trouble that hits this request; None: pass it on."""
        with self._lock:
            for trouble in self._troubles:
                if trouble.hits(method, target):
                    return trouble.status
        return None

    def note(self, method: str, target: str, status: int) -> None:
        with self._lock:
            self.seen.append(Seen(method, target, status))

    def delay(self) -> None:
        if self._latency:
            time.sleep(self._latency)

    def pace(self, count: int) -> None:
        if self._bandwidth:
            time.sleep(count / self._bandwidth)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__((HOST, 0), _Handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        found, address = super().get_request()
        self._open.add(found)
        return found, address

    def shutdown_request(self, request: object) -> None:
        self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news here."""

    def end_all(self) -> None:
        for each in list(self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=120)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def handle_one_request(self) -> None:
        """As the base's, but one method serves every verb."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._pass_on()
            self.wfile.flush()

    def _pass_on(self) -> None:
        proxy = self.server.proxy
        status = proxy.fate(self.command, self.path)
        if status is None:
            proxy.delay()
            status = self._forward()
        elif status == DROP:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._refuse(status)
        proxy.note(self.command, self.path, status)

    def _forward(self) -> int:
        upstream, length = self._upstream, int(self.headers.get("Content-Length") or 0)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    upstream.putheader(name, value)
            if "Content-Length" in self.headers:
                upstream.putheader("Content-Length", str(length))
            upstream.endheaders()
            self._send_body(length)
            answer = upstream.getresponse()
        except (OSError, http.client.HTTPException):
            # the store is away: so are we
            upstream.close()
            self.close_connection = True
            return DROP
        self._answer(answer)
        return answer.status

    def _send_body(self, left: int) -> None:
        while left > 0:
            block = self.rfile.read(min(BLOCK, left))
            if not block:
                raise ConnectionError("the client went away")
            self.server.proxy.pace(len(block))
            self._upstream.send(block)
            left -= len(block)

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length, bodiless = answer.getheader("Content-Length"), self.command == "HEAD" or answer.status in {204, 304}
        if length is not None:
            self.send_header("Content-Length", length)
        elif not bodiless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while block := answer.read(BLOCK):
            self.server.proxy.pace(len(block))
            self.wfile.write(block if length is not None else b"%x\r\n%b\r\n" % (len(block), block))
        if length is None and not bodiless:
            self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, status: int) -> None:
        code = CODES.get(status, "InternalError")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made by a test</Message></Error>".encode()
        # the request's body was not read, so this connection is of no more use
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return
