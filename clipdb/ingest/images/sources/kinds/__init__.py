"""Kinds of sources: one module each, whose class `clipdb.ingest.images.sources.source.Source` describes."""
