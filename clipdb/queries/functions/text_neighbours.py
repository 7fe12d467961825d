"""``text_neighbours(model, head, text, k := 10, measure := 'cosine')``: images nearest to a text in a head."""

from __future__ import annotations

from clipdb.queries.functions.base.head_search import head_search

FUNCTION = head_search("text_neighbours", subject="texts", target="images")
