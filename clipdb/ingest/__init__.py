"""What writes an index: image sources, model adapters, the decomposition, TEXTSPAN and labels."""
