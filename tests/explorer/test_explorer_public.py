"""An explorer that anybody may visit: it only reads, and doesn't say where its files lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_parts import Client, Parts, client_of
from support import MODEL

from clipdb.explorer.access import Access
from clipdb.explorer.app import create_app
from clipdb.explorer.site import Site

BASE = f"/models/{MODEL}"
PUBLIC = Access(public=True)


@pytest.fixture(scope="module")
def public(shown_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    thumbnails = tmp_path_factory.mktemp("public") / "t.db"
    with client_of(Site(shown_index, device="cpu", thumbnails=thumbnails, access=PUBLIC)) as client:
        yield client


def test_it_refuses_all_but_reading_and_says_how_to_allow_it(public: Client, new_picture: Path) -> None:
    files = {"image": ("x.png", new_picture.read_bytes(), "image/png")}
    refusals = {
        "sql": [
            public.get("/sql"),
            public.get("/sql?sql=select+1"),
            *(public.get(f"/api/sql{suffix}?sql=select+1") for suffix in ("", ".csv", ".json")),
        ],
        "uploads": [public.post(f"{BASE}/images", files=files)],
    }
    for feature, answers in refusals.items():
        for answer in answers:
            assert answer.status_code == 403 and f"clipdb serve --public --allow {feature}" in answer.text
    assert public.get("/review").status_code == 403
    for address in ("/status", f"{BASE}/images", f"{BASE}/heads/L3.H0"):
        page = Parts(public.get(address).text)
        assert not [one for one in page.addresses if one.startswith("/sql") or one == "/review"], address
        assert not [attrs for tag, attrs in page.elements if attrs.get("type") == "file"]
    assert "/api/sql" not in public.get("/api/openapi.json").json()["paths"]


def test_no_page_says_where_files_lie(public: Client, shown_index: Path, scenes: Path, image_ids: list[str]) -> None:
    hidden = (str(shown_index), str(shown_index.parent), str(scenes))
    for address in (
        *(
            "/",
            BASE,
            f"{BASE}/heads/L3.H0?span=2",
            f"{BASE}/images",
            f"{BASE}/images/{image_ids[0]}?image_b=scene-0001",
        ),
        *(f"{BASE}/images/{image_ids[0]}?like=colour", "/status", "/properties", "/queries/images?k=3", "/no/such"),
        *("/queries/images-failed", "/queries/drift", "/queries/head?head=L9.H9", "/models/no/such", "/compare"),
        *("/api/queries/images", "/api/queries/images.csv", "/api/queries/heads", "/api/queries/drift"),
        *("/api/queries/neighbours?head=L3.H0&image=nothing.png", "/api/queries/images-failed", "/api/openapi.json"),
    ):
        answer = public.get(address)
        text = answer.text + str(answer.headers)
        assert answer.status_code < 500 and not [one for one in hidden if one in text], address
    rows = public.get("/api/queries/images?k=3").json()["rows"]
    assert [row[-1][:6] for row in rows] == ["scene-"] * 3
    assert public.get("/api/queries/images").json()["command"] == f"clipdb query images -i {shown_index.name}"


def test_what_is_named_is_allowed(shown_index: Path, new_picture: Path, tmp_path: Path) -> None:
    access = Access(public=True, allow=("sql",))
    with client_of(Site(shown_index, device="cpu", thumbnails=tmp_path / "t.db", access=access)) as client:
        assert client.get("/api/sql?sql=select+1").json()["rows"] == [[1]]
        files = {"image": ("x.png", new_picture.read_bytes(), "image/png")}
        assert client.post(f"{BASE}/images", files=files).status_code == 403
        assert 'href="/sql"' in client.get("/status").text


def test_it_may_be_part_of_another_page(shown_index: Path, tmp_path: Path) -> None:
    site = Site(shown_index, thumbnails=tmp_path / "t.db", access=PUBLIC)
    with Client(create_app(site, {"ada-heads.hf.space"}, framed=True), base_url="http://ada-heads.hf.space") as client:
        policy = client.get("/status").headers["content-security-policy"]
        assert "frame-ancestors http://localhost:* http://127.0.0.1:* https:" in policy
