"""Somebody who is told of trouble: a chat robot on this host."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def robot() -> Iterator[tuple[int, list[bytes], list[int]]]:
    """Its port, what was sent to it, and the error that it answers with: the last one in the list."""
    heard, refuses = list[bytes](), list[int]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"errcode": %d}' % (refuses[-1] if refuses else 0))

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, heard, refuses
        server.shutdown()
        thread.join()
