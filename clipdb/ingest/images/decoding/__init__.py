"""Decoding in processes of its own, which may die without taking the ingest with them."""
