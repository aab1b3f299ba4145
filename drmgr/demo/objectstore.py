"""A real S3 server for the demo and the tests: SeaweedFS in one process, on loopback, on free ports."""

import http.client
import json
import random
import secrets
import shutil
import socket
import sys
from pathlib import Path
from types import TracebackType

from drmgr.demo.server import ServerPlan, ServerProcess, stop_noted
from drmgr.errors import PreflightError
from drmgr.system.command import Command, Runner, find_program
from drmgr.system.files import write_atomically
from drmgr.system.secret import Secret

HOST = "127.0.0.1"
REGION = "us-east-1"
PORT_FLAGS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
S3_FLAGS = ("s3.port", "s3.port.grpc")
ADMIN_GRPC_OFFSET = 10_000
LOWEST_PORT, HIGHEST_PORT = 10_000, 31_999
ATTEMPTS = 4
NOTE = "objectstore.json"
NAME = "the demo's object store"

SWITCHED_OFF = (
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    "-master.telemetry=false",
    "-volume.preStopSeconds=0",
)


class ObjectStore:
    """An S3 server whose data, keys and log lie in ``directory``.

    As a context manager it ends with the block. ``start_detached`` leaves it running for a later ``stop_detached``.
    ``stop`` and ``start`` in between keep data, keys and endpoint, as an outage would.
    """

    def __init__(self, directory: Path, *, runner: Runner | None = None) -> None:
        self.directory = directory.absolute()
        self.region = REGION
        self._runner = runner or Runner()
        self._ports: dict[str, int] = {}
        self._server: ServerProcess | None = None
        keys = self._load_or_make_keys()
        self.access_key = Secret(keys["access_key"])
        self.secret_key = Secret(keys["secret_key"])

    @property
    def endpoint(self) -> str:
        """The server's address. Raises RuntimeError before its first start."""
        if not self._ports:
            raise RuntimeError(f"{NAME} was not started")
        return f"http://{HOST}:{self._ports['s3.port']}"

    @property
    def log(self) -> Path:
        return self.directory / "objectstore.log"

    def __enter__(self) -> "ObjectStore":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, detached: bool = False) -> None:
        """Starts the server and waits until S3 answers.

        Raises ToolError when the program ``weed`` is not installed, PreflightError when it does not start.
        """
        known = bool(self._ports)
        for attempt in range(1, ATTEMPTS + 1):
            if not known:
                self._ports = choose_ports()
            server = ServerProcess(self._plan(), self._runner)
            try:
                server.start(detached=detached)
            except PreflightError:
                # a port may have been taken since it was found free; the master keeps its state under its port's name
                if known or attempt == ATTEMPTS:
                    raise
                shutil.rmtree(self.directory / "data")
            else:
                self._server = server
                return

    def start_detached(self) -> None:
        """As ``start``, but the server outlives this program until ``stop_detached``."""
        self.start(detached=True)

    def stop(self) -> None:
        """Ends the server; its data stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @staticmethod
    def stop_detached(directory: Path) -> str | None:
        """Ends the server that was left running for ``directory``; its name, or None when there was none."""
        return stop_noted(directory.absolute() / NOTE)

    def _plan(self) -> ServerPlan:
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        weed = find_program("weed", [Path(sys.executable).parent])
        marker = f"-dir={data}"
        argv = (
            str(weed),
            "mini",
            marker,
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-s3.config={self.directory / 's3.json'}",
            # relative, for a unix socket's path may have no more than 107 bytes
            "-filer.localSocket=filer.sock",
            "-s3.localSocket=s3.sock",
            *(f"-{flag}={port}" for flag, port in self._ports.items()),
            *SWITCHED_OFF,
        )
        return ServerPlan(
            name=NAME,
            command=Command(argv, cwd=self.directory),
            marker=marker,
            log=self.log,
            note=self.directory / NOTE,
            ready=lambda: answers(self._ports["s3.port"]),
        )

    def _load_or_make_keys(self) -> dict[str, str]:
        file = self.directory / "s3.json"
        if file.exists():
            credentials = json.loads(file.read_bytes())["identities"][0]["credentials"][0]
            return {"access_key": credentials["accessKey"], "secret_key": credentials["secretKey"]}
        keys = {"access_key": f"DEMO{secrets.token_hex(8).upper()}", "secret_key": secrets.token_urlsafe(30)}
        identity = {
            "name": "drmgr-demo",
            "credentials": [{"accessKey": keys["access_key"], "secretKey": keys["secret_key"]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_atomically(file, json.dumps({"identities": [identity]}).encode(), mode=0o600)
        return keys


def answers(port: int) -> bool:
    """Whether an S3 gateway speaks there; an anonymous caller is refused, and that refusal is the sign of life."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status in (http.client.OK, http.client.FORBIDDEN)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def choose_ports() -> dict[str, int]:
    """A free port for every one the server opens, below those that the system hands out to clients."""
    taken: set[int] = set()
    ports = {flag: _free_port(taken) for flag in (*PORT_FLAGS, *S3_FLAGS)}
    admin = _free_port(taken, also=ADMIN_GRPC_OFFSET)
    # the server's own worker looks for the admin's second port at this distance, whatever the flag says
    return {**ports, "admin.port": admin, "admin.port.grpc": admin + ADMIN_GRPC_OFFSET}


def _free_port(taken: set[int], also: int = 0) -> int:
    for _ in range(200):
        port = random.randint(LOWEST_PORT, HIGHEST_PORT)  # noqa: S311 - a port is no secret
        wanted = {port, port + also}
        if not wanted & taken and all(_is_free(candidate) for candidate in wanted):
            taken |= wanted
            return port
    raise PreflightError("no free port was found for the demo's object store", hint="end servers that are not needed")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
