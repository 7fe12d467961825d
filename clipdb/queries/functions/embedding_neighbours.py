"""The images nearest to an image by the whole embedding, exactly."""

from __future__ import annotations

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.similarity import Candidates, check_k, lengths
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def embedding_neighbours(context: Context, model: str | None, image: str, k: int = 10) -> Rows:
    """Find the images whose embeddings have the largest cosine with an image's."""
    model = context.model(model)
    store, subjects = context.store, context.subjects
    vectors = store.embeddings(model, "images")
    # Stored in float16, they have length 1 to about 1e-3 only.
    sizes = store.keep(("lengths", model, "images", "embedding"), lambda: lengths(vectors))
    row = store.position(model, "images", subjects.image_id(model, image))
    query = vectors[row] if row is not None else subjects.image(model, image)[1].embedding
    found = Candidates(store.ids(model, "images"), vectors, lengths=sizes).nearest([query], [row], check_k(k))
    return found[0]


FUNCTION = embedding_neighbours
