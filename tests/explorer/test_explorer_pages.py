"""What pages show is what the queries answer, and every link on them leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from click.testing import CliRunner
from page_parts import Client, Parts
from support import MODEL

import clipdb
from clipdb.cli import main

BASE = f"/models/{MODEL}"
PAGES = [
    BASE,
    f"{BASE}?colour=fit",
    f"{BASE}?text=the+colour+green",
    f"{BASE}/heads/L3.H0",
    f"{BASE}/heads/L3.H0?span=2",
    f"{BASE}/heads/L3.H0?text=the+colour+green",
    f"{BASE}/heads/L3.H0/alike",
    f"{BASE}/images",
    f"{BASE}/images/IMAGE",
    f"{BASE}/images/IMAGE?text=the+colour+green&text_b=a+striped+object",
    f"{BASE}/images/IMAGE?text=the+colour+green&words=lit",
    f"{BASE}/images/IMAGE?image_b=scene-00017.png",
    "/properties",
    "/queries",
    "/queries/neighbours",
    "/queries/neighbours?head=L3.H0&image=IMAGE&k=3",
    "/queries/scoreboard",
    "/sql",
    "/status",
]


def rows(index: Path, sql: str) -> list[tuple[object, ...]]:
    with clipdb.open(index) as opened:
        return opened.sql(sql).fetchall()


def rounded(value: object) -> object:
    """Round numbers where DuckDB's threads may add them up in another order."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return round(value, 9) if isinstance(value, float) else value


@pytest.fixture(params=PAGES)
def address(request: pytest.FixtureRequest, image_ids: list[str]) -> str:
    return str(request.param).replace("IMAGE", image_ids[0])


def test_a_page_is_whole(explorer: Client, address: str) -> None:
    answer = explorer.settled(address)
    assert answer.status_code == 200, answer.text
    parts = Parts(answer.text)
    assert not [attrs for _, attrs in parts.elements if "style" in attrs or any(one.startswith("on") for one in attrs)]
    ids = [attrs["id"] for _, attrs in parts.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    images = [attrs for tag, attrs in parts.elements if tag == "img"]
    assert all("alt" in one for one in images)
    assert not [one for one in parts.addresses if urlsplit(one).netloc]


def test_words_are_lit_by_what_the_text_tower_reads_at_them(explorer: Client, image_ids: list[str]) -> None:
    asked = {"image": image_ids[0], "text": "the colour green", "by": "token"}
    explorer.settled(f"{BASE}/images/{image_ids[0]}?text=the+colour+green&words=lit")
    answer = explorer.get("/api/queries/text-contributions", params=asked).json()
    page = explorer.settled(f"{BASE}/images/{image_ids[0]}?text=the+colour+green&words=lit").text
    shown = re.findall(r'<li class="s(\d)( less)?">(.*?) <small class="figure">(.*?)</small>', page)
    named = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
    parts = [row for row in named if row["heads"]]
    largest = max(abs(row["share"]) for row in parts)
    assert len(shown) == len(parts) > 4
    for (step, less, _, figure), row in zip(shown, parts, strict=True):
        assert abs(int(step) - 7 * abs(row["share"]) / largest) <= 0.5 and bool(less) == (row["share"] < 0)
        assert float(figure.replace("\u2212", "-")) == pytest.approx(row["share"], abs=6e-4)


def test_the_status_lists_what_wrote(explorer: Client, ready_index: Path) -> None:
    page = explorer.settled("/status").text
    for (run,) in rows(ready_index, "select run from runs"):
        assert str(run) in page


def test_every_link_leads_somewhere(explorer: Client, image_ids: list[str]) -> None:
    seen: set[str] = set()
    for page in PAGES:
        address = page.replace("IMAGE", image_ids[0])
        links = {urljoin(address, one).partition("#")[0] for one in Parts(explorer.settled(address).text).addresses}
        # Heads and images link to one another by the hundred: one of each kind will do.
        kinds = {re.sub(r"[0-9a-f]{64}|L\d\.H\d|\d+", "N", one): one for one in links}
        seen |= {one for kind, one in kinds.items() if kind not in {re.sub(r"\d", "N", old) for old in seen}}
    assert len(seen) > 60
    for one in sorted(seen):
        assert explorer.settled(one).status_code in (200, 307), one


def test_the_commands_on_a_page_answer_what_it_shows(explorer: Client, image_ids: list[str]) -> None:
    ran = 0
    for page in (BASE, f"{BASE}/heads/L3.H0?span=2", f"{BASE}/images/{image_ids[0]}?text=the+colour+green"):
        parts = Parts(explorer.settled(page).text)
        links = [one for one in parts.addresses if one.startswith("/api/") and ".json" in one]
        assert len(parts.commands) == len(links) >= 3
        for command, link in zip(parts.commands, links, strict=True):
            words = shlex.split(command)
            done = CliRunner().invoke(main, [*words[1:], "-f", "json", "-n", "0"])
            assert done.exit_code == 0, done.output
            answer = explorer.get(link).json()
            assert answer["command"] == command
            shown = [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]
            assert rounded(json.loads(done.stdout)) == rounded(shown)
            ran += 1
    assert ran > 10


def test_the_sql_on_a_page_answers_the_same_in_the_console(explorer: Client) -> None:
    answer = explorer.get("/api/queries/spans", params={"text": "a ", "head": "L3.H0"}).json()
    console = explorer.get("/api/sql", params={"sql": answer["sql"]}).json()
    assert answer["rows"] and console["columns"] == answer["columns"] and console["rows"] == answer["rows"]


def test_the_grid_shows_every_head_with_its_name(explorer: Client, shown_index: Path) -> None:
    parts = Parts(explorer.get(BASE).text)
    cells = [attrs for tag, attrs in parts.elements if tag == "a" and (attrs.get("class") or "").startswith("cell")]
    assert len(cells) == 24
    named = rows(shown_index, "select name, property from head_properties order by layer desc, head")
    assert [(one["href"] or "").rpartition("/")[2] for one in cells if one["data-property"]] == [n for n, _ in named]
    assert [one["data-property"] for one in cells if one["data-property"]] == [name for _, name in named]
    hues = {one["data-property"]: one["class"] for one in cells}
    assert len(set(hues.values())) == len(hues)


def test_words_light_the_heads_that_vary_along_them(explorer: Client, shown_index: Path) -> None:
    text = rows(shown_index, "select text from head_spans where rank = 1 and layer = 3 and head = 0")[0][0]
    page = explorer.get(BASE, params={"text": text}).text
    answer = explorer.get("/api/queries/text-heads", params={"text": text}).json()
    best = answer["rows"][0][answer["columns"].index("head")]
    sentence = page[page.index("Most of what varies") : page.index('class="scroll"')]
    assert sentence.index(best) == min(sentence.index(one) for one in re.findall(r"L\d\.H\d", sentence))


@pytest.mark.parametrize("other", [{"text": "the colour green"}, {"image_b": "scene-00017.png"}])
def test_shares_add_up_to_the_cosine(explorer: Client, image_ids: list[str], other: dict[str, str]) -> None:
    page = explorer.get(f"{BASE}/images/{image_ids[1]}", params=other).text
    tables = re.findall(r"<caption class=\"hidden\">Shares.*?</table>", page, flags=re.DOTALL)
    assert len(tables) == 3
    for table in tables:
        *shares, total = [
            float(one.replace("\N{MINUS SIGN}", "-")) for one in re.findall(r'class="figure">([^<]+)<', table)
        ]
        assert abs(sum(shares) - total) < 0.0006 * len(shares)


def test_the_gallery_goes_on_where_a_page_ended(explorer: Client, shown_index: Path) -> None:
    found, address = [], f"{BASE}/images"
    while address:
        page = explorer.get(address).text
        found += re.findall(r'src="/images/([0-9a-f]{64})/thumb"', page)
        following = re.search(r'rel="next" class="button" href="([^"]+)"', page)
        address = f"{BASE}/images{following[1]}" if following else ""
    assert found == [row[0] for row in rows(shown_index, "select image_id from images order by image_id")]


def test_images_are_found_by_their_name(explorer: Client) -> None:
    page = explorer.get(f"{BASE}/images", params={"find": "scene-00017"}).text
    assert page.count("/thumb") == 1 and "scene-00017.png" in page


def test_what_is_not_there_says_what_is(explorer: Client) -> None:
    for address, hint in {
        "/models/no/model": f"it has {MODEL}",
        f"{BASE}/heads/L9.H0": "it has layers 1, 2, 3, 4",
        f"{BASE}/images/{'0' * 64}": "no image",
        "/queries/neighbour": "did you mean",
        "/properties/smell": "no head carries the property",
        "/nowhere": "there is no page /nowhere",
    }.items():
        answer = explorer.get(address)
        assert answer.status_code == 404 and hint in Parts(answer.text).text, address


def test_a_page_is_small(explorer: Client) -> None:
    assets = sum(len(explorer.get(f"/static/explorer.{kind}").content) for kind in ("css", "js"))
    pages = len(explorer.get(BASE).content) + len(explorer.get(f"{BASE}/heads/L3.H0").content)
    assert assets + pages < 200_000
