"""Texts that describe heads: pools, their embeddings, and TEXTSPAN, which picks from them."""
