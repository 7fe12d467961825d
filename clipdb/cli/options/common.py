"""Options that verbs share: the index, and where results go in which form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from clipdb.cli.show.form import FORMATS, Output, format_of
from clipdb.errors import ClipdbError, require_found
from clipdb.pictures import PICTURES
from clipdb.schema.names import is_url
from clipdb.schema.vectors_place import giving, has_vectors_in_store
from clipdb.stores.address import StoreAddress, is_store, parse_options, with_options

DEFAULT_INDEX = "index.clipdb"

_F = TypeVar("_F", bound=Callable[..., Any])


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


def index_option(function: _F) -> _F:
    """Add ``--index`` to a command; the function takes it as ``index: Path``."""
    return _shared(function, "index", _index, [_INDEX])


def index_or_stored_option(function: _F) -> _F:
    """Add ``--index`` to a command that takes an index in a store, too; it takes it as ``index: Path | StoreAddress``.

    An export is refused.
    """
    return _shared(function, "index", _index_or_stored, [_INDEX_OR_STORED])


def readable_option(function: _F) -> _F:
    """Add ``--index`` to a command, which may be an artefact; the function takes it as ``index: Path | str``, a URL."""
    return _shared(function, "index", _place, [_READABLE, _STORAGE])


def storage_option(function: _F) -> _F:
    """Add ``--storage-option`` to a command that writes to a store; it takes ``storage_options``, a dict."""
    return _shared(function, "storage_options", _options, [_STORAGE])


def vectors_storage_option(function: _F) -> _F:
    """Add ``--storage-option`` to a command whose vectors may go to a store; it takes ``storage_options``, a dict."""
    return _shared(function, "storage_options", _options, [_VECTORS_STORAGE])


def output_options(function: _F) -> _F:
    """Add ``--format``, ``--output``, ``--limit`` and ``--columns`` to a reading command, as ``output: Output``."""
    return _shared(function, "output", _output, _OUTPUT_OPTIONS)


def drawing_output_options(function: _F) -> _F:
    """Do as `output_options`, for a command that draws what it finds where ``--output`` is a picture."""
    return _shared(function, "output", functools.partial(_output, draws=True), _OUTPUT_OPTIONS)


def files_option(function: _F) -> _F:
    """Add ``--files`` to a command that runs SQL; the function takes it as ``files: bool``."""
    return _shared(function, "files", lambda ctx: bool(_meta(ctx, "files")), [_FILES])


def untrusted_option(function: _F) -> _F:
    """Add ``--untrusted`` to a command that runs SQL; the function takes it as ``untrusted: bool``."""
    return _shared(function, "untrusted", lambda ctx: bool(_meta(ctx, "untrusted")), [_UNTRUSTED])


def queries_option(which: str = "", is_eager: bool = False) -> Callable[[_F], _F]:
    """Add ``--queries`` to a command; ``which`` says what becomes of each, and the function takes a tuple of paths."""
    return click.option(
        "--queries",
        type=click.Path(path_type=Path),
        multiple=True,
        envvar="CLIPDB_QUERIES",
        is_eager=is_eager,
        metavar="DIR",
        help=f"A folder of your own .sql queries{which}; more than one may be given.",
    )


def _remember(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a value where commands and their groups find it; one that was typed stays over an environment variable."""
    typed = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    key = f"clipdb.{option.name}"
    if isinstance(value, tuple):  # an option that is repeated, before the name of a query and after it
        value = (*ctx.meta.get(key, ()), *value)
    if value is not None and (typed or key not in ctx.meta):
        ctx.meta[key] = value
        if typed:
            ctx.meta[f"{key}_typed"] = value


def _meta(ctx: click.Context, name: str, default: Any = None) -> Any:
    return ctx.meta.get(f"clipdb.{name}", default)


def _place(ctx: click.Context) -> Path | str:
    place = _meta(ctx, "index", DEFAULT_INDEX)
    options = _options(ctx)
    if options and has_vectors_in_store(place):
        ctx.find_root().with_resource(giving(options))
        return Path(place)
    if is_url(place) or _meta(ctx, "index") is not None:  # which may stand after the name of a query
        return with_options(place if is_url(place) else Path(place), options)
    return Path(place)


def _options(ctx: click.Context) -> dict[str, str]:
    return parse_options(_meta(ctx, "storage_options", ()))


def _index_or_stored(ctx: click.Context) -> Path | StoreAddress:
    return _store(ctx) or _index(ctx)


def _store(ctx: click.Context) -> StoreAddress | None:
    place = _meta(ctx, "index", DEFAULT_INDEX)
    return cast(StoreAddress, with_options(place, _options(ctx))) if is_store(place) else None


def _index(ctx: click.Context) -> Path:
    place = _store(ctx) or _meta(ctx, "index", DEFAULT_INDEX)
    if isinstance(place, StoreAddress):
        raise ClipdbError(
            f"{place} is in a store, where it can only be read: run this on the index on disk that it is a copy of; "
            f"`clipdb export index {place} -i INDEX` then copies it again"
        )
    if is_url(place):
        raise ClipdbError(f"{place} is a URL, made for reading: get the artefact, and `clipdb import DIR -i INDEX`")
    from clipdb.schema import catalog

    catalog.refuse_artefact(Path(place))
    return Path(place)


def _output(ctx: click.Context, draws: bool = False) -> Output:
    path: Path | None = _meta(ctx, "output")
    chosen = _meta(ctx, "format") or format_of(path, draws)
    if chosen == "parquet" and path is None:
        raise click.UsageError("parquet goes into a file: add --output FILE", ctx)
    columns = tuple(name.strip() for name in _meta(ctx, "columns", "").split(",") if name.strip())
    return Output(chosen, path, _meta(ctx, "limit"), columns)


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
    help = f"{what} [default: $CLIPDB_INDEX, then {DEFAULT_INDEX}]."
    # Text, since a URL would lose a slash as a path.
    return _option("--index", "-i", type=click.Path(path_type=str), envvar="CLIPDB_INDEX", help=help)


_INDEX = _index_option("The index's directory")
_INDEX_OR_STORED = _index_option("The index's directory, or its s3://, gs:// or az:// address")
_READABLE = _index_option("The directory or the s3://, gs:// or az:// address of an index or of an export, or its URL")


def _storage_option(store: str) -> Callable[[_F], _F]:
    return _option(
        "--storage-option",
        "storage_options",
        type=str,
        metavar="KEY=VALUE",
        multiple=True,
        help=f"What opens the store of {store}, beyond the usual environment (AWS_..., GOOGLE_..., AZURE_...): "
        "region=eu-west-1, for example. May be repeated; never stored.",
    )


_STORAGE = _storage_option("an s3://, gs:// or az:// address")
_VECTORS_STORAGE = _storage_option("the vectors (not that of SRC)")
_FORMAT = _option(
    "--format",
    "-f",
    type=click.Choice(FORMATS),
    help="How results are written [default: by the suffix of --output, then table].",
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
_UNTRUSTED = _option(
    "--untrusted",
    type=bool,
    is_flag=True,
    default=None,
    help="Run somebody else's SQL: one SELECT, in a process that reads only the index, for 5 s.",
)
_LIMIT = _option("--limit", "-n", type=click.IntRange(min=0), help="Print at most this many rows; 0 for all.")
_COLUMNS = _option(
    "--columns", type=str, metavar="A,B,C", help="Write only these columns, in this order; in a table, all of them."
)
_OUTPUT_OPTIONS: list[Callable[[Any], Any]] = [_FORMAT, _OUTPUT, _LIMIT, _COLUMNS]

PICTURE = PictureFile()


def require_matplotlib(_ctx: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a chart that can't be drawn before anything is computed for it."""
    if file is not None:
        require_found("matplotlib", "plot")
    return file
