"""Everything about artefacts: their format, making one, merging one into an index, reading one where it lies."""
