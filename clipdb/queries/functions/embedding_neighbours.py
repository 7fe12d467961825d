"""``embedding_neighbours(model, image, k := 10)``: the images nearest to an image by the whole embedding, exactly."""

from __future__ import annotations

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.similarity import Candidates, check_k, lengths
from clipdb.queries.functions.base.table_function import Rows, TableFunction, each


def nearest(context: Context, model: str | None, image: str, k: int) -> Rows:
    """Return the k images ``(image_id, score, rank)`` whose embeddings have the largest cosine with an image's."""
    model = context.model(model)
    store, subjects = context.store, context.subjects
    vectors = store.embeddings(model, "images")
    # Stored in float16, they have length 1 to about 1e-3 only.
    sizes = store.keep(("lengths", model, "images", "embedding"), lambda: lengths(vectors))
    row = store.position(model, "images", subjects.image_id(model, image))
    query = vectors[row] if row is not None else subjects.image(model, image)[1].embedding
    found = Candidates(store.ids(model, "images"), vectors, lengths=sizes).nearest([query], [row], check_k(k))
    return found[0]


FUNCTION = TableFunction(
    name="embedding_neighbours",
    parameters={"model": "VARCHAR", "image": "VARCHAR", "k": "BIGINT"},
    defaults={"k": "10"},
    columns={"image_id": "VARCHAR", "score": "FLOAT", "rank": "INTEGER"},
    compute=each(nearest),
    needed=("image", "k"),
)
