"""A worker, which runs one study until nothing is left of it, and its process, `python -m search.study.worker`.

`search.workers.local` starts the process. The first line of its standard input holds its orders, and the second one the
data of the study if they are in memory; when that input ends, the command that started it has ended, and it ends too.
It writes its events to standard output (`workers/events.py`). Its exit status is that of a command.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli.command import INTERRUPTED, leave, serve
from search.cli.options import application
from search.workers.orders import Orders

if TYPE_CHECKING:
    from search.data import Data

app = application()


@app.command()
def work() -> int:
    """Run the study of the orders."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    sent = base64.b64decode(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    # Whatever else writes to standard output, even a C library, must not get between the lines.
    lines = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    data = pickle.loads(sent) if sent else None
    train(orders, lambda line: print(line, file=lines, flush=True), data)
    return 0


def train(orders: Orders, write: Callable[[str], object], data: Data | None = None) -> None:
    """Run the study of the orders until nothing is left of it.

    Args:
        orders: the study, and how to run it.
        write: is called with each event, a line.
        data: the data of the study, if they are already loaded.
    """
    import torch

    from search.recipe import Recipe
    from search.study.in_process import run_in_process
    from search.study.study import BaseStudy
    from search.workers.events import Teller

    torch.set_num_threads(orders.threads)
    study = BaseStudy(
        Recipe.parse(orders.recipe, orders.name),
        study_name=orders.name,
        storage=orders.storage,
        tracking_uri=None,
        device=orders.device,
        slots=orders.slots,
        checkpoint=orders.checkpoint,
        data_dir=Path(orders.data_dir),
        offline=orders.offline,
        techniques=orders.techniques,
        metrics=orders.metrics,
        loaded=data,
    )
    timeout = None if orders.deadline is None else max(0.001, orders.deadline - time.time())
    try:
        run_in_process(study, orders.budget, [Teller(write)], timeout=timeout, extend=orders.extend)
    finally:
        study.claims.release()


def main() -> int:
    """Run the worker and return its exit status."""
    return serve(app, [])


def _end_with_input() -> None:
    while os.read(0, 1 << 16):  # a buffered read in a daemon thread would crash the interpreter at its exit
        pass
    # This is like a kill: the next run adopts what was in training.
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    leave(main())
