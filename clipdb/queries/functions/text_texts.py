"""``text_texts(model, head, text, k := 10, measure := 'cosine', pool := null)``: texts nearest to a text."""

from __future__ import annotations

from clipdb.queries.functions.base.head_search import head_search

FUNCTION = head_search("text_texts", subject="texts", target="texts")
