"""Options that verbs share, and the group that turns failures into one line and an exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click
from click.core import ParameterSource

from clipdb._start import settled
from clipdb._util.text import plain, without_login
from clipdb.cli.show.hints import runnable
from clipdb.errors import ClipdbError, Stopped
from clipdb.schema.names import is_url

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "parquet", "markdown")
PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Suffixes of pictures that are drawn, and what Pillow calls their formats."""

_BY_SUFFIX = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".md": "markdown",
}
DEFAULT_INDEX = "index.clipdb"
_LONGEST = 1000  # characters of a line of a message

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """Where results go and in which form."""

    format: str
    path: Path | None
    limit: int | None
    columns: tuple[str, ...] = ()
    """Only these columns, in this order; all where it is empty."""


class PictureFile(click.Path):
    """The path of a picture to draw, refused at once where its suffix is not one of `PICTURES`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the suffix."""
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() not in PICTURES:
            option = param.opts[0] if param is not None else "it"
            raise ClipdbError(f"{path} is not a picture that can be drawn: {option} writes {', '.join(PICTURES)}")
        return path


class Group(click.Group):
    """A group whose commands fail with one line on stderr: exit 1, or 130 when stopped."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ClipdbError as error:
            raise click.ClickException(_message(error)) from error
        except KeyboardInterrupt as error:
            _stop(ctx, str(error) if isinstance(error, Stopped) else "")
        except RuntimeError as error:  # which is how DuckDB passes Ctrl-C on
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            _stop(ctx)
        except UnicodeEncodeError as error:  # a shell passes on bytes that are no text; paths may have them
            raise click.ClickException("an argument is not UTF-8 text: write it in UTF-8") from error
        except OSError as error:  # a directory that may not be entered, a name that is too long
            if not isinstance(error.filename, str):
                raise
            raise click.ClickException(plain(f"{error.filename} can't be used: {error.strerror}")) from error
        except Exception as error:
            duckdb = sys.modules.get("duckdb")
            if duckdb is None or not isinstance(error, duckdb.Error):
                raise
            raise click.ClickException(_message(error)) from error


def say(text: str, err: bool = False) -> None:
    """Print one line for a person; names in it may be anybody's."""
    click.echo(plain(without_login(runnable(text))), err=err)


def _message(error: Exception) -> str:
    """Write an error: clipdb's own on one line, DuckDB's on those that point at the place in the SQL."""
    text = str(error).strip()
    lines = [runnable(text)] if isinstance(error, ClipdbError) else text.split("\n")
    if "Stack Trace:" in lines:  # of an error inside DuckDB
        lines = lines[:1]
    return "\n".join(_shortened(plain(without_login(line))) for line in lines)


def _shortened(line: str) -> str:
    """Leave out the middle of what nobody would read: the beginning says what is wrong, the end what to do."""
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


def _stop(ctx: click.Context, kept: str = "") -> NoReturn:
    settled()
    click.echo(f"Stopped: {kept}." if kept else "Stopped.", err=True)
    if _meta(ctx, "shell"):
        ctx.exit(130)
    leave(ctx, 130)


def leave(ctx: click.Context, code: int) -> NoReturn:
    """End with an exit code, and at once where a model is still being loaded for a question that was stopped."""
    apart = sys.modules.get("clipdb._util.apart")
    if apart is not None and apart.busy():
        sys.stdout.flush()
        os._exit(code)  # an interpreter that shuts down while torch is imported may crash
    ctx.exit(code)


def with_index(command: click.Command, index: Path | str) -> click.Context:
    """Make a context for a line of the shell, whose commands have this index unless they are given another."""
    ctx = click.Context(command)
    ctx.meta.update({"clipdb.index": str(index), "clipdb.shell": True})
    return ctx


def index_option(function: _F) -> _F:
    """Give a command ``--index``; the function takes it as ``index: Path``."""
    return _shared(function, "index", _index, [_INDEX])


def readable_option(function: _F) -> _F:
    """Give a command ``--index``, which may be an artefact; the function takes it as ``index: Path | str``, a URL."""
    return _shared(function, "index", _place, [_READABLE])


def output_options(function: _F) -> _F:
    """Give a reading command ``--format``, ``--output``, ``--limit`` and ``--columns``, as ``output: Output``."""
    return _shared(function, "output", _output, _OUTPUT_OPTIONS)


def drawing_output_options(function: _F) -> _F:
    """Do as `output_options`, for a command that draws what it finds where ``--output`` is a picture."""
    return _shared(function, "output", functools.partial(_output, draws=True), _OUTPUT_OPTIONS)


def files_option(function: _F) -> _F:
    """Give a command that runs SQL ``--files``; the function takes it as ``files: bool``."""
    return _shared(function, "files", lambda ctx: bool(_meta(ctx, "files")), [_FILES])


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a value where commands and their groups find it; one that was typed stays over an environment variable."""
    typed = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    key = f"clipdb.{option.name}"
    if value is not None and (typed or key not in ctx.meta):
        ctx.meta[key] = value
        if typed:
            ctx.meta[f"{key}_typed"] = value


def _meta(ctx: click.Context, name: str, default: Any = None) -> Any:
    return ctx.meta.get(f"clipdb.{name}", default)


def _place(ctx: click.Context) -> Path | str:
    place = _meta(ctx, "index", DEFAULT_INDEX)
    return place if is_url(place) else Path(place)


def _index(ctx: click.Context) -> Path:
    place = _place(ctx)
    if is_url(place):
        raise ClipdbError(f"{place} is a URL, made for reading: get the artefact, and `clipdb import DIR -i INDEX`")
    from clipdb.schema import catalog

    catalog.refuse_artefact(Path(place))
    return Path(place)


def _output(ctx: click.Context, draws: bool = False) -> Output:
    path: Path | None = _meta(ctx, "output")
    chosen = _meta(ctx, "format") or _format_of(path, draws)
    if chosen == "parquet" and path is None:
        raise click.UsageError("parquet goes into a file: add --output FILE", ctx)
    columns = tuple(name.strip() for name in _meta(ctx, "columns", "").split(",") if name.strip())
    return Output(chosen, path, _meta(ctx, "limit"), columns)


def _format_of(path: Path | None, draws: bool) -> str:
    """Tell the form from a file's suffix; one without a suffix gets a table."""
    suffix = path.suffix.lower() if path is not None else ""
    if not suffix or (draws and suffix in PICTURES):
        return "table"
    if suffix not in _BY_SUFFIX:
        known = [*_BY_SUFFIX, *(PICTURES if draws else ())]
        more = "; pictures are drawn by --sheet or --plot, where there is one" if suffix in PICTURES else ""
        raise ClipdbError(f"--output doesn't write {suffix}: it writes {', '.join(known)}, or say --format{more}")
    return _BY_SUFFIX[suffix]


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


def _index_option(what: str) -> Callable[[_F], _F]:
    help = f"{what}; else $CLIPDB_INDEX, else {DEFAULT_INDEX}."
    # Text, since a URL would lose a slash as a path.
    return _option("--index", "-i", type=click.Path(path_type=str), envvar="CLIPDB_INDEX", help=help)


_INDEX = _index_option("The index's directory")
_READABLE = _index_option("The directory of an index or of an export, or the export's URL")
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
_FILES = _option(
    "--files",
    type=bool,
    is_flag=True,
    default=None,
    help="Let the SQL read and write files, attach databases and use the network.",
)
_LIMIT = _option("--limit", "-n", type=click.IntRange(min=0), help="Print at most this many rows; 0 for all.")
_COLUMNS = _option(
    "--columns", type=str, metavar="A,B,C", help="Write only these columns, in this order; in a table, all of them."
)
_OUTPUT_OPTIONS: list[Callable[[Any], Any]] = [_FORMAT, _OUTPUT, _LIMIT, _COLUMNS]

PICTURE = PictureFile()
PLOT = click.Option(["--plot"], type=PICTURE, metavar="FILE.png", help="Draw the rows as a chart, .png or .jpg.")
"""What a query takes whose header names a chart."""
