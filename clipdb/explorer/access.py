"""What visitors may do besides reading: on a public explorer nothing, unless it was named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clipdb.errors import ClipdbError

FEATURES = {
    "sql": "answers no SQL",
    "uploads": "takes no pictures",
    "review": "takes no decisions",
}
"""What can be allowed, and what a public explorer says where it wasn't."""


@dataclass(frozen=True)
class Access:
    """What visitors may do.

    Attributes
    ----------
    public
        Whether anybody may come: then the folders of files are hidden, and nothing but reading is allowed unless it is
        named.
    allow
        Keys of `FEATURES` that are allowed all the same.

    Raises
    ------
    ClipdbError
        If something unknown is allowed, or an explorer that isn't public is given a list.
    """

    public: bool = False
    allow: Sequence[str] = ()

    def __post_init__(self) -> None:
        if strange := [one for one in self.allow if one not in FEATURES]:
            raise ClipdbError(f"{strange[0]!r} can't be allowed: choose among {', '.join(FEATURES)}")
        if self.allow and not self.public:
            raise ClipdbError("--allow goes with --public: otherwise everything is allowed")

    def allows(self, feature: str) -> bool:
        """Return whether visitors may use one of `FEATURES`."""
        return not self.public or feature in self.allow

    def require(self, feature: str) -> None:
        """Check that visitors may use one of `FEATURES`.

        Raises
        ------
        HTTPException
            403, which says who could allow it, and how.
        """
        if not self.allows(feature):
            from starlette.exceptions import HTTPException  # of an extra, which the command line's help doesn't need

            advice = f"`clipdb serve --public --allow {feature}`, or `clipdb serve` on your own machine, allows it"
            raise HTTPException(403, f"this explorer is public and {FEATURES[feature]}: {advice}")
