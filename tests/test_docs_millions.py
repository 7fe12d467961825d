"""docs/millions.md: its commands run, one after another, on an index that is large enough."""

from __future__ import annotations

from pathlib import Path

from built_index import build
from docs_page import ran

INSTEAD = {"L11.H3": "L2.H0", "photo.jpg": "7.png"}


def test_the_page(tmp_path: Path) -> None:
    build(tmp_path / "big.clipdb", images=1010)

    def smaller(arguments: list[str]) -> list[str]:
        return [INSTEAD.get(one, one) for one in arguments]

    with ran("millions.md", tmp_path, smaller) as printed:
        assert "recall@10" in printed["clipdb index --heads L11.H3"]
        assert "property=colour: recall@10" in printed["clipdb index --heads property=colour"]
        assert printed["clipdb info"].count("vector index") == 4
        for query in ("query neighbours", "query property-neighbours"):
            by_index, exact = (
                [line.split()[:3] for line in printed[line].splitlines()]
                for line in printed
                if line.startswith(f"clipdb {query}")
            )
            assert len(by_index) == len(exact) == 12
        dropped = "dropped 4 vector indexes: L1.H0; L1.H1; L2.H0; L1.H0,L1.H1,L2.H0"
        assert dropped in printed["clipdb index --heads all --drop"]
