"""Spans and names that others published as files."""
