"""How long PostgreSQL and its clients wait for each other before they take the other one for gone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from search.storage.urls import parsed

# Seconds of silence before a keepalive probe is sent, seconds between two probes, and how many may go unanswered.
_IDLE, _INTERVAL, _COUNT = 30, 10, 3
# No probe is sent while data are not acknowledged: without this limit, waiting for that takes a quarter of an hour.
_UNACKNOWLEDGED = 1000 * (_IDLE + _INTERVAL * _COUNT)  # milliseconds
_OF_SERVER = {
    "tcp_keepalives_idle": _IDLE,
    "tcp_keepalives_interval": _INTERVAL,
    "tcp_keepalives_count": _COUNT,
    "tcp_user_timeout": _UNACKNOWLEDGED,
}
_OF_CLIENT = {
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _UNACKNOWLEDGED,
    "connect_timeout": 30,
}


def patience(url: str) -> dict[str, Any]:
    """Return engine options that make PostgreSQL and its client notice within a minute that the other one has vanished.

    With the operating system's defaults, the server would keep the locks of a vanished client, and a client would wait
    for a vanished server, for between a quarter of an hour and two hours.

    Sources: PostgreSQL, "TCP settings", section 20.3.2, and "Parameter key words", section 34.1.2.
    """
    parts = parsed(url)
    if parts is None or parts.get_backend_name() != "postgresql":
        return {}
    options: dict[str, Any] = {"pool_events": [(_set_patience, "connect")]}
    if parts.get_driver_name().startswith("psycopg"):  # the names are libpq's; the URL takes precedence
        options["connect_args"] = {name: value for name, value in _OF_CLIENT.items() if name not in parts.query}
    return options


def _set_patience(connection: Any, _: object) -> None:
    # libpq's "options" could set these too, but some poolers refuse them.
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _OF_SERVER.items())
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT {settings}")
    connection.commit()  # a rollback would undo the settings
