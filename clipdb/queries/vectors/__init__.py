"""Vectors as queries read them: Lance tables at committed versions, and those already in memory."""
