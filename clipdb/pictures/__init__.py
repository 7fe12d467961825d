"""Charts, contact sheets and overlays, for the command line, notebooks and pages alike."""

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Suffixes of the pictures that can be drawn, and Pillow's names of their formats."""
