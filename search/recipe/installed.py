"""The folder of `search` itself, and so of the packages `objectives` (techniques) and `studies` (recipes) beside it.

They are found by this place and never by their names alone: a folder `studies` or `objectives` in the user's current
directory often comes first on `sys.path`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2]
