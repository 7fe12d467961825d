"""Named queries: SQL files, what their headers declare, and how arguments become parameters."""
