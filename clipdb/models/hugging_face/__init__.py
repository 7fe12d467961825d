"""Models of Hugging Face transformers: what they are, where their files come from, and how they are run.

Their two towers are put behind the names that the rest of clipdb calls (`network`), so that nothing else needs to know
from which library a model is. Nothing here runs code that comes with a model.
"""
