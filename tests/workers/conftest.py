"""A PostgreSQL server and a Ray cluster; tests that need one skip where it is not installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support.postgres_server import Server, programs, server
from support.ray_cluster import Nodes


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if programs() is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg here: uv sync --extra postgres")
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="no Ray here: uv sync --extra ray")
    before = signal.getsignal(signal.SIGTERM)
    # Ray would start workers by the `uv run` that pytest may run under; `search.workers.cluster` does the same.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    running = Nodes()
    try:
        yield running
    finally:
        running.close()
        signal.signal(signal.SIGTERM, before)
