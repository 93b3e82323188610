"""Run a notebook and write it back with its outputs, without the times of this machine.

uv run python docs/execute.py docs/tour.ipynb
"""

from __future__ import annotations

import sys
import tempfile

import nbformat
from nbclient import NotebookClient


def main(path: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1])
