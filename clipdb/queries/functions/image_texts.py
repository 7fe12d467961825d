"""``image_texts(model, head, image, k := 10, measure := 'cosine', pool := null)``: texts nearest to an image."""

from __future__ import annotations

from clipdb.queries.functions.base.head_search import head_search

FUNCTION = head_search("image_texts", subject="images", target="texts")
