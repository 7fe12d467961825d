"""The images nearest to an image by the whole embedding, exactly."""

from __future__ import annotations

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.similarity import check_k, embedding_candidates
from clipdb.queries.functions.base.table_function import Rows, table_function


@table_function(image_id="VARCHAR", score="FLOAT", rank="INTEGER")
def embedding_neighbours(context: Context, model: str | None, image: str, k: int = 10) -> Rows:
    """Find the images whose embeddings have the largest cosine with an image's."""
    model = context.model(model)
    store, subjects = context.store, context.subjects
    images = embedding_candidates(context, model)
    row = store.position(model, "images", subjects.image_id(model, image))
    query = images.vectors[row] if row is not None else subjects.image(model, image)[1].embedding
    return images.nearest([query], [row], check_k(k))[0]


FUNCTION = embedding_neighbours
