"""A PostgreSQL server, where there is one to be started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import Server, programs, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if programs() is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg here: uv sync --extra postgres")
    with server() as running:
        yield running
