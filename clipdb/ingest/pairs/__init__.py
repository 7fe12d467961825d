"""Minimal pairs: images of the index that differ in one attribute."""
