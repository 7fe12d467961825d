"""Is an index whole: does what the catalog says agree with itself and with the vectors?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.queries.vectors.vector_tables import Kind
from clipdb.queries.whole_sum import sum_problem
from clipdb.schema.catalog import committed_versions
from clipdb.schema.names import PARTS, head_name
from clipdb.schema.vectors import part_columns
from clipdb.stores.failures import StoreFailed

_UNIT = 5e-3  # how far from 1 a length may be that was stored in float16
_ORTHONORMAL = 1e-3

_REFERENCES = {
    "spans are of known heads": "from spans anti join heads using (model_id, layer, head)",
    "directions are of known heads": "from directions anti join heads using (model_id, layer, head)",
    "labels are of known heads": "from labels anti join heads using (model_id, layer, head)",
    "judgements are of known heads": "from judgements anti join heads using (model_id, layer, head)",
    # Heads that were only named, by an import, may be of models that were never here.
    "heads are of known models": "from bases anti join models using (model_id)",
    "bases are of known heads": "from bases anti join head_statistics using (model_id, layer, head)",
    "aligners are of known models": "from aligners anti join models using (model_id)",
    "shares are of known heads": "from label_scores anti join heads using (model_id, layer, head)",
    "pairs are of known heads": "from head_pairs anti join heads using (model_id, layer, head)",
    "parts are of known property indexes": "from property_index_parts anti join property_indexes "
    "using (model_id, heads)",
    "minimal pairs are of known images": "from (select unnest([image_a, image_b]) as image_id from pairs) "
    "anti join images using (image_id)",
    "effects are of known heads": "from (select model_id, unnest(string_split(ablated, ',')) as name from effects) "
    "anti join heads using (model_id, name)",
    "spans are known texts": "from spans anti join texts using (text_id)",
    "judgements are of known texts": "from judgements anti join texts using (text_id)",
    "pools hold known texts": "from pool_texts anti join texts using (text_id)",
    "pool texts are of known pools": "from pool_texts anti join pools using (pool)",
}


# Keys that DuckDB has no index of, as `clipdb.schema.tables` says.
_UNIQUE = {
    "head_statistics": "model_id, layer, head",
    "images": "image_id",
    "image_failures": "uri",
    "pairs": "image_a, image_b, attribute",
    "effects": "model_id, ablated, target, template, mode, mean, tokens, part, class_name",
    "pool_texts": "pool, text_id",
    "spans": "model_id, layer, head, pool, rank",
    "directions": "model_id, layer, head, source, pool, direction",
    "runs": "run",
    "head_pairs": "model_id, layer, head, other_model, other_layer, other_head",
    "property_indexes": "model_id, heads",
    "property_index_parts": "model_id, heads, part",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``problem`` says what is wrong, None where nothing is."""

    model_id: str | None
    check: str
    problem: str | None


def check_index(index: Index) -> Iterator[Check]:
    """Look through the whole index: every relation and every vector, in constant memory.

    Parameters
    ----------
    index
        An open index.

    Yields
    ------
    Check
        One after another, so that progress can be shown.
    """
    for name, source in _REFERENCES.items():
        yield Check(None, name, _some(_count(index, f"select count(*) {source}"), "rows are not"))
    for table, key in _UNIQUE.items():
        twice = f"select count(*) - count(distinct ({key})) from {table}"
        yield Check(None, f"{table}: no row comes twice", _some(_count(index, twice), "are too many"))
    unopened = set()
    versions = committed_versions(index.bare_connection)
    for (model, kind), version in versions.items():
        try:
            index.vectors.open(model, kind)
            problem = None
        except StoreFailed:  # which says nothing about the index
            raise
        except ClipdbError as error:
            unopened.add(model)
            problem = f"there is no version {version}" if "not at version" in str(error) else str(error)
        yield Check(model, f"{kind}: the committed version is there", problem)
    models = [row[0] for row in index.execute("select model_id from models order by model_id").fetchall()]
    for model in models:
        yield Check(model, "bases are orthonormal", _bases(index, model))
    if unopened:
        return  # the vectors can't be read as SQL, and what is missing has been said
    for model, kind in versions:
        try:
            yield from _vectors(index, model, kind)
        except StoreFailed:
            raise
        except ClipdbError as error:
            yield Check(model, f"{kind}: the vectors can be read", str(error).rpartition(": ")[0])
            return
    if not any(kind == "images" for _, kind in versions):
        return
    held = " union ".join(f"select image_id from {_table(model, kind)}" for model, kind in versions if kind == "images")
    lost = _count(index, f"select count(*) from images anti join ({held}) using (image_id)")
    yield Check(None, "every image has vectors", _some(lost, "images have none"))


def _vectors(index: Index, model: str, kind: Kind) -> Iterator[Check]:
    table, key = _table(model, kind), f"{kind[:-1]}_id"

    def count(problem: str, query: str) -> str | None:
        return _some(_count(index, query), problem)

    yield Check(
        model,
        f"{kind}: no row comes twice",
        count("are too many", f"select count(*) - count(distinct {key}) from {table}"),
    )
    yield Check(
        model,
        f"{kind}: rows are in the catalog",
        count("are not", f"select count(*) from {table} anti join {kind} using ({key})"),
    )
    batches = f"(select run, batch from batches where kind = '{kind}' and model_id = $model)"
    unknown = index.execute(
        f"select count(*) from {table} v anti join {batches} b on v._run = b.run and v._batch = b.batch",
        {"model": model},
    ).fetchall()[0][0]
    yield Check(model, f"{kind}: rows are of committed batches", _some(unknown, "are not"))
    length = "array_inner_product(embedding, embedding)"
    aligned = kind == "texts" and index.execute("select 1 from aligners where model_id = $m", {"m": model}).fetchall()
    good = f"isfinite({length})" if aligned else f"abs(sqrt({length}) - 1) <= {_UNIT}"
    yield Check(
        model,
        f"{kind}: embeddings {'are finite' if aligned else 'have length 1'}",
        count("are not" if aligned else "have not", f"select count(*) from {table} where not {good}"),
    )
    if kind == "images":
        yield Check(
            model,
            "images: norms are finite and positive",
            count("are not", f"select count(*) from {table} where not (isfinite(norm) and norm > 0)"),
        )
    columns = part_columns(index.vectors.open(model, kind).schema)
    stored = PARTS if kind == "images" else "heads"  # texts need no more
    known = index.execute(
        f"select layer, head from {stored} where model_id = $model and size is not null", {"model": model}
    ).fetchall()
    odd = sorted(set(columns) ^ set(known))
    names = ", ".join(head_name(layer, head) for layer, head in odd)
    yield Check(model, f"{kind}: heads are those of the catalog", f"only on one side: {names}" if odd else None)
    sums = ", ".join(f"count_if(not isfinite(array_inner_product({name}, {name})))" for name in columns.values())
    bad = index.execute(f"select {sums} from {table}").fetchall()[0] if columns else ()
    wrong = [head_name(*head) for head, number in zip(columns, bad, strict=True) if number]
    yield Check(model, f"{kind}: head vectors are finite", f"not in {', '.join(wrong)}" if wrong else None)
    if kind == "images" and not (odd or wrong):
        yield Check(model, "images: where all parts are stored, they add up", sum_problem(index, model))


def _bases(index: Index, model: str) -> str | None:
    """Check that Q^T Q is the identity, or zero in the columns of null directions."""
    import numpy as np

    size = index.execute("select embed_dim from models where model_id = $model", {"model": model}).fetchall()[0][0]
    wrong = []
    rows = index.execute(
        f"select name, basis from {PARTS} where model_id = $model and basis is not null order by layer, head",
        {"model": model},
    )
    while row := rows.fetchone():
        name, basis = row[0], np.asarray(row[1], np.float64)
        if not size or basis.size % size:
            wrong.append(name)
            continue
        q = basis.reshape(size, -1)
        product = q.T @ q
        expected = np.diag((np.diag(product) > 0.5).astype(np.float64))
        if not np.abs(product - expected).max(initial=0.0) <= _ORTHONORMAL:
            wrong.append(name)
    return f"not of {', '.join(wrong)}" if wrong else None


def _table(model: str, kind: Kind) -> str:
    return 'vectors."' + model.replace('"', '""') + f'".{kind}'


def _count(index: Index, query: str) -> int:
    return int(index.execute(query).fetchall()[0][0])


def _some(number: int, problem: str) -> str | None:
    return f"{number} {problem}" if number else None
