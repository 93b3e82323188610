"""Read the fields of a recipe: of a packaged one, of a file, or of several packaged ones joined by '+'."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search.errors import EnvironmentFault, RequestError, clip, nearest, unknown
from search.storage import installed

_LONGEST_FILE = 2**20


def fields_of(study: str) -> tuple[dict[str, Any], str]:
    """Return the fields of the recipe with this name, at this path, or united from names joined by '+'; and its source.

    Raises:
        RequestError: there is no such recipe, or it is not TOML.
        EnvironmentFault: a file cannot be read.
    """
    known = packaged()
    if study in known:
        source = f"studies/{study}.toml"
        return {"name": study} | _toml(known[study], source), source
    if study.endswith(".toml") or ("/" in study and os.path.isfile(study)):
        return _read(Path(study), known)
    parts = study.split("+")
    if len(parts) > 1:
        return _unite(parts, known)
    raise unknown("study", study, known)


def _read(path: Path, known: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    shown = clip(str(path), 200)
    # Unlike `Path.is_file`, `os.path.isfile` returns False for a name that no file system allows. It also rules out
    # pipes and devices, which might never end.
    if not os.path.isfile(path):
        if os.path.isdir(path):
            raise RequestError(f"recipe {shown!r} is a folder: name a .toml file in it")
        beside = [str(other) for other in path.parent.glob("*.toml")] if os.path.isdir(path.parent) else []
        hint = nearest(str(path), beside) or nearest(path.stem, known)
        raise RequestError(f"there is no recipe file {shown!r}{hint}")
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(f"recipe {shown!r} is not a text file in UTF-8") from None
    except OSError as error:
        raise EnvironmentFault(f"cannot read recipe {shown!r}: {error.strerror}") from None
    if len(content) > _LONGEST_FILE:
        raise RequestError(f"recipe {shown!r} is longer than {_LONGEST_FILE:,} bytes: is it a recipe?")
    fields = {"name": path.stem} | _toml(text, shown)
    data = fields.get("data")
    if isinstance(data, dict) and any(isinstance(data.get(field), str) for field in ("dataset", "val", "test")):
        # Imported here because `search.data` imports torch, which takes seconds.
        from search.data import resolve_paths

        fields["data"] = resolve_paths(data, path.parent)
    return fields, shown


def _unite(parts: list[str], known: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    united: dict[str, Any] = {
        "name": "+".join(parts),
        "techniques": [],
        "set": {},
        "space": {},
        "one_of": {},
        "constraints": [],
    }
    for part in parts:
        if part not in known:
            raise unknown("study", part, known)
        fields = _toml(known[part], f"studies/{part}.toml")
        if "settings" in fields:
            raise RequestError(f"{united['name']}: study {part!r} lists its settings, so it cannot be joined by '+'")
        if parts.count(part) > 1:
            raise RequestError(f"study {part!r} is named twice in {united['name']!r}")
        united["constraints"] = [*dict.fromkeys([*united["constraints"], *fields.get("constraints", ())])]
        united["techniques"] = [*dict.fromkeys([*united["techniques"], *fields.get("techniques", ())])]
        for group, names in fields.get("one_of", {}).items():
            # A technique of either recipe may be the one that a trial uses.
            united["one_of"][group] = [*dict.fromkeys([*united["one_of"].get(group, ()), *names])]
        for table in ("set", "space"):
            for name, value in fields.get(table, {}).items():
                if united[table].setdefault(name, value) != value:
                    raise RequestError(f"{united['name']}: two of its studies give {table}.{name} different values")
    return united, united["name"]


def packaged() -> dict[str, str]:
    """Return the TOML texts of the recipes in `studies/` by name, such as ``l2`` or ``notebooks/mnist-momentum``."""
    return dict(_recipes(installed.FOLDER / "studies", ""))


def _recipes(folder: Path, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _recipes(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml"), entry.read_text(encoding="utf-8")


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    # A number of 5,000 digits raises a plain ValueError.
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{source} is not TOML: {clip(str(error), 200)}") from None
