"""Results as people and programs want to see them, progress, and advice that runs."""
