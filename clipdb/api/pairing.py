"""`clipdb.ingest_pairs`: images that differ in one attribute, to test the names of heads with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipdb.ingest.pairs.pair_ingest import PairCounts


def ingest_pairs(index: str | Path, file: str | Path) -> PairCounts:
    """Store minimal pairs: two images of the index that differ in one attribute and in nothing else.

    Parameters
    ----------
    index
        Directory of the index, which has the images.
    file
        CSV, JSONL or Parquet with the columns image_a, image_b, attribute, value_a and value_b. An image is its name,
        its path, or its image_id or the beginning of it.

    Returns
    -------
    PairCounts
        Pairs ``added``, those ``skipped`` because the index had them, and how many it now has of all ``attributes``.

    Raises
    ------
    ClipdbError
        If a row isn't such a pair, or its images are not in the index; nothing is written.

    Examples
    --------
    >>> rows = "image_a,image_b,attribute,value_a,value_b\\nscene-00000.png,scene-00001.png,colour,red,blue\\n"
    >>> _ = Path("pairs.csv").write_text(rows)
    >>> clipdb.ingest_pairs("mine.clipdb", "pairs.csv").attributes
    {'colour': 1}
    """
    from clipdb.ingest.pairs.pair_ingest import ingest_pairs as store

    return store(Path(index), Path(file))
