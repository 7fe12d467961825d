"""Images become rows and vectors: sources are read and decoded ahead of the model, which runs once over what is new."""
