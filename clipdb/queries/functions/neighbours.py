"""``neighbours(model, head, image, k := 10, measure := 'cosine')``: images nearest to an image, in a head's space."""

from __future__ import annotations

from clipdb.queries.functions.base.head_search import head_search

FUNCTION = head_search("neighbours", subject="images", target="images")
