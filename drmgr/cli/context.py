"""The global options as commands see them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from drmgr.cli.output import Output

if TYPE_CHECKING:
    from drmgr.cli.wiring.wire import Site


def output(context: typer.Context) -> Output:
    return cast("Output", context.obj["output"])


def config_path(context: typer.Context) -> Path:
    return cast("Path", context.obj["config"])


@contextmanager
def site(context: typer.Context) -> "Iterator[Site]":
    """The site of ``--config``. Raises ConfigError."""
    from drmgr.cli.wiring.wire import open_site

    with open_site(config_path(context)) as opened:
        yield opened
