"""Import artefacts: checked as if an enemy had written them, merged as if a colleague had."""

from clipdb.artefact.merge.conflicts import Merged, Prefer
from clipdb.artefact.merge.merging import Imported, Progress, import_artefact

__all__ = ["Imported", "Merged", "Prefer", "Progress", "import_artefact"]
