"""All that commands import, for a server to have before they are forked from it: but for Lance, which can't be."""

from __future__ import annotations

import gc
import pkgutil
import sys
from contextlib import suppress
from importlib import import_module

import clipdb
from clipdb._util.pandas_unseen import leave_pandas_unseen

LIBRARIES = ("open_clip", "pyarrow.dataset", "pyarrow.parquet", "duckdb_sqlalchemy", "openai")
LATER = ("lance", "ray")  # after the fork; so does what imports them
UNUSED = ("explorer", "pictures", "sandbox")

leave_pandas_unseen()
for library in LIBRARIES:
    with suppress(ImportError):
        import_module(library)
sys.modules |= dict.fromkeys(LATER)  # type: ignore[arg-type]  # to import them is an error
for package in pkgutil.walk_packages(clipdb.__path__, "clipdb."):
    if not package.name.endswith(".__main__") and package.name.split(".")[1] not in UNUSED:
        with suppress(ImportError):
            import_module(package.name)
for name in LATER:
    del sys.modules[name]
gc.freeze()  # else the first collection after a fork copies every page
