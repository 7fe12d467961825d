"""Options that verbs share, and the group that turns failures into one line and an exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click
from click.core import ParameterSource

from clipdb.errors import ClipdbError

FORMATS = ("table", "json", "jsonl", "csv", "parquet", "markdown")
DEFAULT_INDEX = "index.clipdb"

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """Where results go and in which form."""

    format: str
    path: Path | None
    limit: int | None


class Group(click.Group):
    """A group whose commands fail with one line on stderr: exit 1, or 130 when stopped."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ClipdbError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            _stop(ctx)
        except RuntimeError as error:  # which is how DuckDB passes Ctrl-C on
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            _stop(ctx)
        except UnicodeEncodeError as error:  # a shell passes on bytes that are no text; paths may have them
            raise click.ClickException("an argument is not UTF-8 text: write it in UTF-8") from error
        except Exception as error:
            duckdb = sys.modules.get("duckdb")
            if duckdb is None or not isinstance(error, duckdb.Error):
                raise
            raise click.ClickException(str(error).strip()) from error


def _stop(ctx: click.Context) -> NoReturn:
    click.echo("Stopped.", err=True)
    ctx.exit(130)


def index_option(function: _F) -> _F:
    """Give a command ``--index``; the function takes it as ``index: Path``."""
    return _shared(function, "index", lambda ctx: Path(_meta(ctx, "index", DEFAULT_INDEX)), [_INDEX])


def output_options(function: _F) -> _F:
    """Give a reading command ``--format``, ``--output`` and ``--limit``; the function takes ``output: Output``."""
    return _shared(function, "output", _output, [_FORMAT, _OUTPUT, _LIMIT])


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a value where commands and their groups find it; one that was typed stays over an environment variable."""
    typed = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    key = f"clipdb.{option.name}"
    if value is not None and (typed or key not in ctx.meta):
        ctx.meta[key] = value


def _meta(ctx: click.Context, name: str, default: Any = None) -> Any:
    return ctx.meta.get(f"clipdb.{name}", default)


def _output(ctx: click.Context) -> Output:
    path = _meta(ctx, "output")
    suffix = path.suffix.lstrip(".").lower() if path is not None else ""
    guessed = {"md": "markdown", "ndjson": "jsonl", "txt": "table"}.get(suffix, suffix)
    chosen = _meta(ctx, "format") or (guessed if guessed in FORMATS else "table")
    if chosen == "parquet" and path is None:
        raise click.UsageError("parquet goes into a file: add --output FILE", ctx)
    return Output(chosen, path, _meta(ctx, "limit"))


def _shared(function: _F, name: str, value: Callable[[click.Context], Any], options: list[Callable[[_F], _F]]) -> _F:
    @functools.wraps(function)
    def with_value(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{name: value(click.get_current_context())}, **kwargs)

    decorated: Any = with_value
    for option in reversed(options):
        decorated = option(decorated)
    return cast(_F, decorated)


def _option(*names: str, help: str, type: Any, **more: Any) -> Callable[[_F], _F]:
    return click.option(*names, help=help, type=type, expose_value=False, callback=_remember, **more)


_INDEX = _option(
    "--index",
    "-i",
    type=click.Path(path_type=Path),
    envvar="CLIPDB_INDEX",
    help=f"The index's directory; else $CLIPDB_INDEX, else {DEFAULT_INDEX}.",
)
_FORMAT = _option(
    "--format",
    "-f",
    type=click.Choice(FORMATS),
    help="How results are written; else by the suffix of --output, else table.",
)
_OUTPUT = _option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write results into a file, not to stdout.",
)
_LIMIT = _option("--limit", "-n", type=click.IntRange(min=0), help="Print at most this many rows; 0 for all.")

PLOT_FILE = click.Path(path_type=Path, dir_okay=False)
PLOT = click.Option(["--plot"], type=PLOT_FILE, metavar="FILE.png", help="Draw the rows as a chart.")
"""What a query takes whose header names a chart."""
