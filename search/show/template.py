"""Jinja2 templates that are files of the package: ``templates/NAME`` next to the module that renders them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def load(package: str, name: str) -> Template:
    """Return the template ``templates/NAME`` of a package.

    Every value is escaped unless it is `markupsafe.Markup`. A name that the caller left out raises an error.
    """
    # Jinja2 is imported here, because training starts sooner without it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)
