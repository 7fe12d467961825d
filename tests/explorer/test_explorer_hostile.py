"""Requests that try to get more than they may, and texts that try to be pages."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from built_index import Built
from page_parts import HOST, Client, Parts, client_of
from support import MODEL

from clipdb.explorer.guard import MOST_BYTES
from clipdb.explorer.site import Site
from clipdb.schema import catalog

BASE = f"/models/{MODEL}"
EVIL = '\x1b]0;steered\x07"><script>alert(1)</script><img src=x onerror=alert(2)>'


TOKEN = "hf_of-this-machine"


def within_8_seconds(client: Client, address: str, **more: Any) -> Any:
    """Ask what is answered soon, whatever it is."""
    begun = time.monotonic()
    answer = client.get(address, **more)
    assert time.monotonic() - begun < 8
    return answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:7860",
        "",
        "[::1",
        "169.254.169.254",
        "a@localhost.x",
    ],
)
def test_another_name_is_refused(explorer: Client, host: str) -> None:
    answer = explorer.get("/api/queries/heads", headers={"host": host})
    assert answer.status_code == 421 and "L1.H0" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:7860"])
def test_the_loopback_is_allowed(explorer: Client, host: str) -> None:
    assert explorer.get("/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"},
    ],
)
def test_a_post_from_another_site_is_refused(explorer: Client, new_picture: Path, headers: dict[str, str]) -> None:
    files = {"image": ("x.png", new_picture.read_bytes(), "image/png")}
    assert explorer.post(f"{BASE}/images", files=files, headers=headers).status_code == 403


def test_every_answer_has_the_policy(explorer: Client) -> None:
    for address in (
        BASE,
        "/nowhere",
        "/static/explorer.css",
        "/api/queries/heads",
        "/images/x/thumb",
        "/static/../app.py",
    ):
        headers = explorer.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/images/..%2f..%2fetc%2fpasswd/thumb",
        "/images//etc/passwd/full",
        f"{BASE}/images/..%2f..%2fetc%2fpasswd",
        f"{BASE}/images/%2Fetc%2Fpasswd",
        "/queries/..%2f..%2fsecret",
        "/api/queries/..%2f..%2f..%2fetc%2fpasswd",
        "/models/../../etc/passwd",
    ],
)
def test_paths_lead_nowhere_else(explorer: Client, path: str) -> None:
    answer = within_8_seconds(explorer, path)
    assert answer.status_code in (404, 405) and "root:" not in answer.text and "Starlette(" not in answer.text


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "FILE", "../../etc/passwd", "/dev/zero", "x\0y", "\ud800", "x" * 60_000]
)
def test_a_file_is_no_image_of_the_index(explorer: Client, new_picture: Path, value: str) -> None:
    wanted = value.replace("FILE", str(new_picture))
    raw = wanted.encode("utf-8", "surrogatepass")
    answer = within_8_seconds(explorer, "/api/queries/neighbours", params={"head": "L3.H0", "image": raw})
    assert answer.status_code in (404, 422) and "root:" not in answer.text
    assert explorer.get("/status").status_code == 200


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "copy heads to '/tmp/stolen.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "select 1; select 2",
        "set threads = 8",
        "select getenv('HOME')",
        "select repeat('x', 3000000000)",
        "select count(*) from range(100000000) a, range(100000000) b",
        "select * from range(100000000000)",
        "select * from read_text('/proc/self/environ')",
        "select * from glob('/etc/*')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from duckdb_secrets()",
        "select getenv('CLIPDB_TOKEN')",
        "select current_setting('home_directory')",
        "from 'https://127.0.0.1:9/x.parquet'",
        "load httpfs",
        "pragma database_list",
        "export database '/tmp/stolen'",
        "create macro heads() as 1",
        "checkpoint",
        "select * from query('select 1')",
        "select query_table('heads')",
        "select 1 -- \0",
        "select '\x1b[2J' as steered",
        "with recursive t as (select 1 as n union all select n + 1 from t) select max(n) from t",
    ],
)
def test_sql_reads_the_index_and_ends(explorer: Client, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPDB_TOKEN", TOKEN)
    answer = within_8_seconds(explorer, "/api/sql", params={"sql": sql})
    assert "root:" not in answer.text and TOKEN not in answer.text and "\x1b" not in answer.text
    if answer.status_code == 200:
        assert answer.json()["cut"] or answer.json()["columns"] == ["steered"]
    else:
        assert answer.status_code == 422 and answer.json()["detail"]
    assert explorer.get("/sql", params={"sql": "select 42 as answer"}).status_code == 200


def test_uploads_are_pictures_of_some_size(explorer: Client) -> None:
    address = f"{BASE}/images"

    def sent(data: bytes, name: str = "x.png", kind: str = "image/png") -> tuple[int, str]:
        answer = explorer.post(address, files={"image": (name, data, kind)})
        return answer.status_code, answer.text

    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for data in (b"", b"no picture", svg, b"\x89PNG\r\n\x1a\n" + b"\0" * 100, b"GIF89a" + b"\xff" * 50):
        status, page = sent(data)
        assert status == 422 and "<script>alert" not in page, data
    assert sent(b"\0" * (MOST_BYTES + 1))[0] == 413
    status, page = sent(b"no picture", f"../../{EVIL}.png")
    assert status == 422 and "<script>alert" not in page
    for content, kind in (
        (b"junk", "multipart/form-data"),
        (b"a=b", "application/x-www-form-urlencoded"),
        (b"{}", "text/x"),
    ):
        assert explorer.post(address, content=content, headers={"content-type": kind}).status_code == 422
    many = {f"f{n}": ("x.png", b"x", "image/png") for n in range(5)}
    assert explorer.post(address, files=many).status_code == 422

    def endless() -> object:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        for _ in range(MOST_BYTES // 2**20 + 2):
            yield b"\0" * 2**20

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert explorer.post(address, content=endless(), headers=headers).status_code == 413  # type: ignore[arg-type]
    assert explorer.get("/status").status_code == 200


def test_methods_that_write_are_refused(explorer: Client) -> None:
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        assert explorer.request(method, BASE).status_code == 405


def test_texts_stay_texts(two: Built, tmp_path: Path) -> None:
    """Names, labels, spans and file names that are HTML are shown as they are written."""
    shutil.copytree(two.path, tmp_path / "evil.clipdb", symlinks=True)
    with catalog.changing(tmp_path / "evil.clipdb") as connection:
        connection.execute("update texts set text = text || ?", [EVIL])
        connection.execute("update labels set property = ?, rationale = ?", [f"colour{EVIL}", EVIL])
        connection.execute("update images set label = ?, uri = uri || ?, metadata = json_object(?, ?)", [EVIL] * 4)
    image = two.ids[0]
    with client_of(Site(tmp_path / "evil.clipdb", thumbnails=tmp_path / "t.db")) as client:
        pages = [
            "/models/one/a",
            "/models/one/a/heads/L1.H0",
            "/models/one/a/images",
            f"/models/one/a/images/{image}?text=a+blue+thing",
            "/properties",
            "/queries/heads",
            "/queries/properties",
            "/queries/activating?head=L1.H0&model=one/a",
            f"/models/one/a?text={quote(EVIL)}",
            f"/queries/spans?text={quote(EVIL)}",
            f"/sql?sql={quote(EVIL)}",
            f"/{quote(EVIL)}",
            f"/compare?a={quote(EVIL)}&b={quote(EVIL)}",
            "/compare?a=one/a&b=two/b",
            f"/review/one/a/{quote(EVIL)}",
        ]
        for address in pages:
            page = client.get(address)
            assert page.status_code in (200, 202, 403, 404, 422), (address, page.status_code)
            parts = Parts(page.text)
            scripts = [attrs for tag, attrs in parts.elements if tag == "script"]
            assert [one.get("src", "")[:21] for one in scripts] == ["/static/explorer.js?v"], address
            assert not [attrs for _, attrs in parts.elements if "onerror" in attrs], address
        for name in ("properties", "spans?text=a", "images"):
            answer = client.get(f"/api/queries/{name}")
            assert EVIL in str(answer.json()["rows"]).encode().decode("unicode_escape") and "\x1b" not in answer.text
        assert EVIL in Parts(client.get("/properties").text).text
