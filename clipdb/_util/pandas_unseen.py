"""Keep DuckDB and Arrow from importing pandas, which takes 0.4 s of processor time, only to see what it is.

DuckDB looks for pandas when it binds a value, to tell whether that is one of pandas' missing values, and Arrow when
`pyarrow.dataset` is imported. The command line has no data frames, so that it needs neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Unseen(MetaPathFinder, Loader):
    """Finds pandas, which is there, and refuses to load it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer where clipdb's own code runs, and so DuckDB or Arrow asks, and nobody's plugin."""
        if fullname != "pandas" or _asks() not in ("clipdb", "pyarrow") or _has_plugins():
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


@cache
def _has_plugins() -> bool:
    """Return whether another package adds to clipdb: it may need data frames."""
    from importlib.metadata import entry_points

    return any(group.startswith("clipdb.") for group in entry_points().groups)
