"""Where everything that is written goes: one writer, its transactions, the tables of vectors."""
