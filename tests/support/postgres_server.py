"""Start a PostgreSQL server for tests, in a folder of its own; it is reached over TCP with a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

_USER, _PASSWORD = "searcher", "s3cret"


def programs() -> Path | None:
    """Return the folder of the newest server's programs, or None if none is installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


class Server:
    """A server that can be stopped and started.

    Args:
        folder: the folder of its data.
        bin_: the folder of its programs.
        address: the address at which it listens.
        within: a command that runs its programs elsewhere, for instance in a network namespace.
        durable: whether transactions wait for the disk, which is PostgreSQL's default.

    Attributes:
        url: the URL of a database in it.
    """

    def __init__(
        self, folder: Path, bin_: Path, address: str = "127.0.0.1", within: Sequence[str] = (), *, durable: bool = False
    ) -> None:
        self._folder, self._bin, self._address, self._within = folder, bin_, address, within
        self._durable = durable
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"postgresql://{_USER}:{_PASSWORD}@{address}:{self.port}/postgres"
        secret = folder / "password"
        secret.write_text(_PASSWORD)
        if os.getuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
            shutil.chown(secret, "postgres")
        data = ["-D", str(folder / "data")]
        self._run("initdb", *data, "-U", _USER, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        with (folder / "data" / "pg_hba.conf").open("a") as rules:  # by default they allow 127.0.0.1 only
            rules.write("host all all all scram-sha-256\n")

    def database(self, name: str) -> str:
        """Create a database, and return its URL."""
        with create_engine(self.url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses={self._address} -k {self._folder}"
        options += "" if self._durable else " -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", f"{self._folder}/data", "-o", options, "-l", f"{self._folder}/log")

    def stop(self) -> None:
        """Stop the server at once, and cut its connections."""
        self._run("pg_ctl", "stop", "-w", "-D", f"{self._folder}/data", "-m", "fast")

    def _run(self, program: str, *words: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run(
            [*self._within, *as_user, str(self._bin / program), *words],
            cwd=self._folder,
            check=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def server(address: str = "127.0.0.1", within: Sequence[str] = (), *, durable: bool = False) -> Iterator[Server]:
    """Run a server while the context lasts; see `Server` for the arguments."""
    bin_ = programs()
    assert bin_ is not None
    # The server's user can't read pytest's folder, and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        made = Server(folder, bin_, address, within, durable=durable)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
