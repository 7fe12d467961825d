"""Names and verdicts of a language model, through any OpenAI-compatible server."""
