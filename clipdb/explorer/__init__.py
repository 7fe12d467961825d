"""The explorer: an index as pages in a browser, each made of named queries, and the same answers for programs."""
