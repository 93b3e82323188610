"""A group of commands, each of which is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from search.cli.mistyped import unknown_command


class LazyGroup(TyperGroup):
    """The application's own commands and, listed before them, commands that are each the `app` of a module.

    Attributes:
        modules: the module of each command, and the panel of the help that lists it.
    """

    modules: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*self.modules, *super().list_commands(ctx)]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        module, panel = self.modules[cmd_name]
        command = get_command(import_module(module).app)
        assert isinstance(command, TyperCommand)
        command.name, command.rich_help_panel = cmd_name, panel
        return command

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        if args[0] not in (known := self.list_commands(ctx)) and not args[0].startswith("-"):
            raise unknown_command(args[0], known)
        return super().resolve_command(ctx, args)
