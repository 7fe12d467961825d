"""Strangers' SQL, in processes of its own that own nothing and are thrown away."""

from clipdb.sandbox.pool import Answer, Sandbox

__all__ = ["Answer", "Sandbox"]
