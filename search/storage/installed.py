"""The folder that holds `search` and, next to it, the packages `objectives` (techniques) and `studies` (recipes).

They are found by this place and never by their names alone: a folder `studies` or `objectives` in the user's current
directory often comes first on `sys.path`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2]
