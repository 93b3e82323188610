"""Commands in one program, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from search.cli.mistyped import unknown_command


class LazyGroup(TyperGroup):
    """Commands by name; each is the `app` of a module.

    Attributes:
        modules: the module of each command, and the panel of the help that lists it.
    """

    modules: Mapping[str, tuple[str, str]] = {}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(self.modules)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        if cmd_name not in self.modules:
            return None
        module, panel = self.modules[cmd_name]
        command = typer.main.get_command(import_module(module).app)
        assert isinstance(command, TyperCommand)
        command.name, command.rich_help_panel = cmd_name, panel
        return command

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        if args[0] not in self.modules and not args[0].startswith("-"):
            raise unknown_command(args[0], list(self.modules))
        return super().resolve_command(ctx, args)
