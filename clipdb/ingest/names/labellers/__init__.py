"""Who names heads without asking anybody: one module per labeller, called as the labeller is.

A labeller's module has a function ``label(index, pool, model_id)`` that returns
`clipdb.ingest.names.unchanged.Labelled`. Modules of other packages are found by their entry points
``clipdb.labellers``.
"""
