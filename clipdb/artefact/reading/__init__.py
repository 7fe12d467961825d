"""Read an artefact where it lies, on disk or behind a URL."""
