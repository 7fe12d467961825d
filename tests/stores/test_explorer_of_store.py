"""Pages over an index in a store."""

from __future__ import annotations

from pathlib import Path

from built_index import Built
from object_store import BUCKET, Store
from page_parts import client_of

import clipdb
from clipdb.explorer.site import Site
from clipdb.stores.address import StoreAddress


def test_pages_show_it(store: Store, built: Built, tmp_path: Path) -> None:
    place = StoreAddress(f"s3://{BUCKET}/shown/one.clipdb")
    clipdb.export_index(built.path, place, progress=False)
    with client_of(Site(place, thumbnails=tmp_path / "thumbnails.db")) as client:
        assert "a grey wall" in client.get("/models/one/a/heads/L2.H1").text
        found = client.get("/api/queries/neighbours", params={"image": built.ids[3], "head": "L1.H1", "k": 3}).json()
        assert len(found["rows"]) == 3
