"""clipdb."""
