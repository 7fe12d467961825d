"""Who judges spans without asking anybody: one module per judge, called as the judge is.

A judge's module has a function ``judge(index, judging)`` that returns `clipdb.ingest.names.unchanged.Judged`. Modules
of other packages are found by their entry points ``clipdb.judges``.
"""
