"""Read the manifest of an artefact that anybody may have written."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from clipdb._util.text import first_line
from clipdb.artefact.format import (
    CARD,
    FORMAT,
    FORMAT_VERSION,
    KINDS,
    OF_SOURCES,
    RELATIONS,
    WHATS,
    WITH_VECTORS,
    File,
    Kind,
    Manifest,
    ModelEntry,
    VectorKind,
    relation_path,
    relations_of,
    thumbnails_path,
    vectors_path,
)
from clipdb.errors import ClipdbError
from clipdb.schema.migrations import SCHEMA_VERSION
from clipdb.schema.names import MANIFEST, POOL, model_slug

MOST_BYTES = 64 * 2**20
_MOST_TEXT = 100_000
_MOST_LAYERS = 10_000
_MOST = 2**63 - 1
_VECTORS: tuple[VectorKind, ...] = ("images", "texts")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Wrong(Exception):
    """What is wrong with the manifest, as a clause."""


def check_size(size: int, where: str) -> None:
    """Refuse a manifest of so many bytes, if that is too large, before it fills the memory.

    Raises
    ------
    ClipdbError
        If it is.
    """
    if size > MOST_BYTES:
        raise ClipdbError(f"{where}: {MANIFEST} is larger than any that `clipdb export` writes: get the artefact again")


def read_manifest(text: str | bytes, where: str) -> Manifest:
    """Read a manifest, and believe none of it.

    Parameters
    ----------
    text
        Its JSON.
    where
        The artefact, as messages call it.

    Returns
    -------
    Manifest
        Every field is of its type and within its bounds; each file is of a known kind and lies where that kind of
        file lies, so that no path leaves the directory; nothing comes twice and nothing that belongs is missing.
        Only the files themselves can say whether rows, bytes and sha256 are right.

    Raises
    ------
    ClipdbError
        If it is not a manifest, of a newer version, or not as above.
    """
    check_size(len(text), where)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClipdbError(f"{where}: {MANIFEST} is not JSON ({first_line(error)}): get the artefact again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ClipdbError(
            f"{where}: {MANIFEST} is not of a clipdb artefact: name a directory that `clipdb export` wrote"
        )
    try:
        for name, known in (("format_version", FORMAT_VERSION), ("schema_version", SCHEMA_VERSION)):
            version = _number(name, content.get(name), least=1)
            if version > known:
                raise ClipdbError(
                    f"{where} has {name.replace('_', ' ')} {version} and this clipdb knows {known}: upgrade clipdb",
                    kind="newer",
                )
        return _manifest(content)
    except _Wrong as error:
        raise ClipdbError(f"{where}: {MANIFEST} {error}: get the artefact again") from error


def _manifest(content: dict[str, Any]) -> Manifest:
    _fields("", content, ("format", "format_version", *Manifest.__dataclass_fields__))
    manifest = Manifest(
        clipdb_version=_text("clipdb_version", content["clipdb_version"]),
        schema_version=content["schema_version"],
        what=_one_of("what", content["what"], WHATS),
        models=tuple(_model(f"models[{n}]", one) for n, one in enumerate(_list("models", content["models"]))),
        files=tuple(_file(f"files[{n}]", one) for n, one in enumerate(_list("files", content["files"]))),
        licence=_text("licence", content["licence"]),
        citation=_text("citation", content["citation"]),
    )
    _once("model", [model_slug(model.model_id) for model in manifest.models])
    _once("file", [file.path for file in manifest.files])
    _check_files(manifest)
    return manifest


def _layer(at: str, value: Any) -> int:
    return POOL if value == POOL and type(value) is int else _number(at, value, most=_MOST_LAYERS)


def _model(at: str, content: Any) -> ModelEntry:
    content = _fields(at, content, tuple(ModelEntry.__dataclass_fields__))
    sha256, preprocess = content["weights_sha256"], content["preprocess"]
    layers = tuple(_layer(f"{at}.layers", one) for one in _list(f"{at}.layers", content["layers"]))
    if list(layers) != sorted(set(layers)):
        _wrong(f"{at}.layers", "are not in order")
    if not isinstance(preprocess, dict | None):
        _wrong(f"{at}.preprocess", "is not an object")
    return ModelEntry(
        model_id=_model_id(f"{at}.model_id", content["model_id"]),
        weights_sha256=None if sha256 is None else _sha256(f"{at}.weights_sha256", sha256),
        preprocess=preprocess,
        layers=layers,
        images=_number(f"{at}.images", content["images"]),
        texts=_number(f"{at}.texts", content["texts"]),
        images_run=None if content["images_run"] is None else _text(f"{at}.images_run", content["images_run"]),
    )


def _file(at: str, content: Any) -> File:
    content = _fields(at, content, tuple(File.__dataclass_fields__))
    file = File(
        path=_text(f"{at}.path", content["path"]),
        kind=_one_of(f"{at}.kind", content["kind"], KINDS),
        name=_text(f"{at}.name", content["name"]),
        rows=_number(f"{at}.rows", content["rows"]),
        bytes=_number(f"{at}.bytes", content["bytes"]),
        sha256=_sha256(f"{at}.sha256", content["sha256"]),
    )
    if file.kind == "relation":
        _one_of(f"{at}.name", file.name, RELATIONS)
    elif file.kind in _VECTORS:
        _model_id(f"{at}.name", file.name)
    elif file.name:
        _wrong(f"{at}.name", f"is {_short(file.name)}, and a file of {file.kind} has none")
    return file


def _check_files(manifest: Manifest) -> None:
    """Check that what belongs is there, each in its place: paths are compared with those that an export writes."""
    files: dict[tuple[Kind, str], list[File]] = {}
    for file in manifest.files:
        files.setdefault((file.kind, file.name), []).append(file)
    expected = WITH_VECTORS if manifest.what == "vectors" else relations_of(manifest.schema_version)
    for name in expected:
        if ("relation", name) not in files and name not in OF_SOURCES:
            raise _Wrong(f"lacks the relation {name}")
    if ("card", "") not in files:
        raise _Wrong(f"does not name {CARD}")
    models = {model.model_id: model for model in manifest.models}
    for (kind, name), group in files.items():
        if (kind == "relation" and name not in expected) or (kind in _VECTORS and manifest.what == "relations"):
            raise _Wrong(f"has {kind} {name}, which does not belong to {manifest.what}")
        if kind in _VECTORS and name not in models:
            raise _Wrong(f"has vectors of {name}, which is not among its models")
        for number, file in enumerate(group):
            if file.path != (place := _place(kind, name, number)):
                raise _Wrong(f"names the path {_short(file.path)} where {_short(place)} belongs")
    for model in manifest.models:
        for kind in _VECTORS:
            if sum(file.rows for file in files.get((kind, model.model_id), ())) != getattr(model, kind):
                raise _Wrong(f"gives the wrong number of {kind} of {model.model_id}")


def _place(kind: Kind, name: str, number: int) -> str | None:
    """Return the path of the file of this number among those of one kind and name; None where there is none."""
    if kind in _VECTORS:
        return vectors_path(name, kind, number)
    if kind == "thumbnails":
        return thumbnails_path(number)
    if number:
        return None
    return relation_path(name) if kind == "relation" else CARD


def _once(what: str, names: list[str]) -> None:
    name, number = next(iter(Counter(names).most_common(1)), ("", 0))
    if number > 1:
        raise _Wrong(f"has the {what} {_short(name)} twice")


def _fields(at: str, content: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(content, dict):
        _wrong(at, "is not an object")
    prefix = f"{at}." if at else ""
    if missing := [name for name in names if name not in content]:
        raise _Wrong(f"has no {prefix}{missing[0]}")
    if unknown := sorted(set(content) - set(names)):
        raise _Wrong(f"has {prefix}{_short(unknown[0])}, which is no field of a manifest")
    return content


def _list(at: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        _wrong(at, "is not a list")
    return value


def _text(at: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or any("\ud800" <= one <= "\udfff" for one in value):
        _wrong(at, f"is {_short(value)} and not a text")
    return value


def _number(at: str, value: Any, least: int = 0, most: int = _MOST) -> int:
    if type(value) is not int or not least <= value <= most:
        _wrong(at, f"is {_short(value)} and not a number from {least} to {most}")
    return value


def _sha256(at: str, value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        _wrong(at, f"is {_short(value)} and not a SHA-256 in lower-case hexadecimal")
    return value


def _model_id(at: str, value: Any) -> str:
    try:
        model_slug(_text(at, value))
    except ClipdbError:
        _wrong(at, f"is {_short(value)} and not a model name")
    return value


def _one_of(at: str, value: Any, names: tuple[Any, ...]) -> Any:
    if value not in names:
        _wrong(at, f"is {_short(value)} and not one of {', '.join(names)}")
    return value


def _wrong(at: str, problem: str) -> NoReturn:
    raise _Wrong(f"is damaged: {at or 'it'} {problem}")


def _short(value: Any) -> str:
    if isinstance(value, dict | list):  # which may be nested more deeply than can be written
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
