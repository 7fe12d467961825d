"""Names that people write, found in the index: models, heads, images, pools, properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.find_image import FIND, is_file, one_image, written
from clipdb.queries.templates import read_templates
from clipdb.schema.names import layer_name, parse_head

Ask = Callable[..., duckdb.DuckDBPyConnection]
"""Runs SQL with values, and returns where the rows are fetched."""

_SHOWN = 8  # how many properties a message lists
_FILLED_BY = {
    "models": "clipdb ingest images SRC --model ARCH/PRETRAINED",
    "heads": "clipdb ingest images SRC --model ARCH/PRETRAINED",
    "images": "clipdb ingest images SRC --model ARCH/PRETRAINED",
    "texts": "clipdb ingest texts FILE --pool NAME",
    "spans": "clipdb span",
    "labels": "clipdb label",
    "judgements": "clipdb judge",
    "effects": "clipdb ablate --each --target KEY",
}

_NO_CLEAR_NAME = (
    "has a clear name: see `clipdb query heads` for the reasons "
    "(`clipdb label --labeller vote` names every head, clear or not, those of random weights too)"
)

# A person may write 'color' and mean 'colour'; `spelled` does the same outside SQL.
SAME_SPELLING = """
create or replace temp macro same_spelling(text) as
    replace(replace(trim(lower(text)), 'our', 'or'), 'grey', 'gray')
"""


def require_rows(ask: Ask, tables: Sequence[str]) -> None:
    """Check that tables have rows.

    Raises
    ------
    ClipdbError
        With the command that fills the first one that has none.
    """
    for table in tables:
        if table not in _FILLED_BY:
            raise ClipdbError(f"`needs: {table}` is not one of {', '.join(_FILLED_BY)}")
        if not _column(ask, f"select 1 from {table} limit 1"):
            what = "names of heads" if table == "labels" else table  # images have labels, too: their classes
            raise ClipdbError(f"this index has no {what} yet: run `{_FILLED_BY[table]}`", kind="absent")


def one_model(known: Sequence[str], wanted: str | None) -> str:
    """Choose a model: the one that was asked for, or the only one.

    Raises
    ------
    ClipdbError
        If it is not there, or none was asked for and there are several: the message lists them.
    """
    if not known:
        raise ClipdbError(f"this index has no models yet: run `{_FILLED_BY['models']}`", kind="absent")
    listed = ", ".join(known)
    if wanted is None:
        if len(known) > 1:
            raise ClipdbError(f"this index has several models: choose one with --model ({listed})")
        return known[0]
    for model in known:
        if model.casefold() == wanted.casefold():
            return model
    raise ClipdbError(f"no model {wanted!r} in this index: it has {listed}", kind="absent")


def no_names(rows: Callable[..., list[tuple[Any, ...]]], model: str) -> ClipdbError:
    """Say that no head of a model has a name: nobody named them, or a labeller found none clear.

    Parameters
    ----------
    rows
        Runs a query on the catalog.
    model
        The model.
    """
    if rows("select 1 from labels where model_id = ? and status = 'ok' limit 1", model):
        return ClipdbError(f"no head of {model} {_NO_CLEAR_NAME}", kind="absent")
    return ClipdbError(f"no head of {model} has a name yet: run `clipdb label`", kind="absent")


def unknown_property(wanted: str, known: Sequence[str], whose: str = "") -> ClipdbError:
    """State that no head carries a property, and which properties are nearest.

    Parameters
    ----------
    wanted
        What was written.
    known
        The properties that heads carry.
    whose
        Of which model, as `` of MODEL``, if it matters.
    """
    if not known:
        return ClipdbError(f"no head{whose} {_NO_CLEAR_NAME}", kind="absent")
    from difflib import get_close_matches

    if len(known) <= _SHOWN:
        return ClipdbError(
            f"no head{whose} carries the property {wanted!r}: there are {', '.join(known)}", kind="absent"
        )
    near = get_close_matches(spelled(wanted), [spelled(one) for one in known], n=3, cutoff=0.4)
    listed = [one for one in known if spelled(one) in near] or known
    return ClipdbError(
        f"no head{whose} carries the property {wanted!r}: the nearest are {', '.join(listed[:_SHOWN])}", kind="absent"
    )


def resolve(ask: Ask, kind: str, value: Any, model: str | None, files: bool) -> Any:
    """Find a parameter's value in the index, as the index spells it.

    Parameters
    ----------
    ask
        Runs SQL on the index.
    kind
        The parameter's type; types that name nothing in an index pass unchanged.
    value
        What was written.
    model
        The model asked for, if any.
    files
        Whether an image may be a file.

    Raises
    ------
    ClipdbError
        If there is no such thing, or several could be meant: the message lists candidates.
    """
    if kind == "image" and files and is_file(value):
        return _image_of_file(ask, value)
    if kind == "image":
        return one_image(value, ask(FIND, [written(value)]).fetchall(), files)
    if kind == "templates":
        return None if value is None else read_templates(value, files)
    finder = _FINDERS.get(kind)
    return value if finder is None else finder(ask, value, model)


def _model(ask: Ask, value: str | None, _: str | None) -> str:
    known = _column(ask, "select model_id from models order by model_id")
    if value is not None or not known:  # models whose heads were only named don't make a question ambiguous
        known = _column(ask, "select model_id from models union select model_id from heads order by model_id")
    return one_model(known, value)


def _head(ask: Ask, value: str, model: str | None) -> str:
    of_model = "($model is null or model_id = $model)"
    layer, head = parse_head(value)
    query = f"select name from heads where layer = $layer and head = $head and {of_model}"
    if found := _column(ask, query, layer=layer, head=head, model=model):
        return str(found[0])
    layers = _column(ask, f"select distinct layer from heads where {of_model} order by layer", model=model)
    heads = _column(ask, f"select max(head) + 1 from heads where {of_model}", model=model)[0]
    if not layers:
        raise ClipdbError(f"this index has no heads yet: run `{_FILLED_BY['heads']}`", kind="absent")
    raise ClipdbError(
        f"no head {value} in this index: it has layers {', '.join(map(layer_name, layers))} with {heads} heads each",
        kind="absent",
    )


def _image_of_file(ask: Ask, path: str) -> str:
    """Return the id of the image that a file is; its path if the index lacks it, so that the model runs on it."""
    import hashlib

    try:
        with Path(path).open("rb") as file:
            image_id = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ClipdbError(f"{path} can't be read: {error.strerror}") from error
    known = _column(ask, "select 1 from images where image_id = $image", image=image_id)
    return image_id if known else path


def _pool(ask: Ask, value: str, _: str | None) -> str:
    known = _column(ask, "select pool from pools union select pool from spans order by pool")
    if value not in known:
        raise ClipdbError(f"no pool {value!r} in this index: it has {', '.join(known) or 'none'}", kind="absent")
    return value


def _property(ask: Ask, value: str, model: str | None) -> str:
    of_model = "($model is null or model_id = $model)"
    query = f"select distinct property from head_properties where property is not null and {of_model} order by property"
    known = _column(ask, query, model=model)
    if not any(spelled(value) in spelled(one) for one in known):
        raise unknown_property(value, known)
    return value


def spelled(text: str) -> str:
    """Fold case and British spelling, as the queries do."""
    return text.strip().lower().replace("our", "or").replace("grey", "gray")


def _column(ask: Ask, query: str, **values: Any) -> list[Any]:
    return [row[0] for row in ask(query, values or None).fetchall()]


_FINDERS: dict[str, Callable[[Ask, Any, str | None], Any]] = {
    "model": _model,
    "head": _head,
    "pool": _pool,
    "property": _property,
}
