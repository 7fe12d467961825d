"""Keep DuckDB and Arrow from importing pandas, which takes 0.4 s of processor time, only to see what it is.

DuckDB looks for pandas when it binds a value, to tell whether that is one of pandas' missing values, and Arrow when
`pyarrow.dataset` is imported. The command line has no data frames, so that it needs neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from clipdb._util.extensions import extensions


class _Unseen(MetaPathFinder, Loader):
    """Finds pandas, which is there, and refuses to load it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer where clipdb's own code runs, and so DuckDB or Arrow asks, and no other package adds to it."""
        if fullname != "pandas" or _asks() not in ("clipdb", "pyarrow") or extensions():
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Refuse, as Python does where pandas isn't installed."""
        raise ModuleNotFoundError(f"No module named {module.__name__!r}", name=module.__name__)


def leave_pandas_unseen() -> None:
    """Have pandas imported from now on only by those who name it."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _Unseen())


def _asks() -> str:
    """Name the package whose code is being run; libraries in C have no frames of their own."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib."):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
