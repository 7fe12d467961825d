"""Forms that results are written in: one module each, called as the form is.

A form's module has ``SUFFIXES``, of the files that get it, and a function ``write(names, rows, json_columns, stream)``.
``json_columns`` says which columns are JSON already. Modules of other packages are found by their entry points
``clipdb.formats``.
"""
