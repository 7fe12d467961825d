"""What people decide of names and spans, typed or from a file."""
