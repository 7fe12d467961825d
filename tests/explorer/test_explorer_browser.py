"""The explorer in a real browser, by clicks and typing, as a person uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import wait_until_complete
from in_browser import broken_rules, need_browser
from PIL import Image
from screenshots import STATES, take
from support import MODEL

import clipdb

need_browser()

BASE = f"/models/{MODEL}"
PATIENCE = 90_000.0


@pytest.fixture(scope="module")
def url(shown_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an explorer of `shown_index`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with clipdb.serve(shown_index, port=0, device="cpu", block=False) as explorer:  # type: ignore[union-attr]
            yield explorer.url.rstrip("/")


@pytest.fixture
def page(browser, url: str) -> Iterator[object]:  # type: ignore[no-untyped-def]
    """A page, in which no script may fail and from which no other host may be asked."""
    context = browser.new_context(base_url=url, viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    problems: list[str] = []
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith(url) else None)
    yield opened
    context.close()
    assert problems == []


def test_from_words_to_a_head_to_an_image(page) -> None:  # type: ignore[no-untyped-def]
    page.goto("/")
    page.wait_for_url(f"**{BASE}")
    page.keyboard.press("/")
    page.keyboard.type("the colour green")
    page.keyboard.press("Enter")
    page.get_by_text("Most of what varies along").wait_for()
    page.locator(".answer a").first.click()
    page.get_by_role("heading", name=re.compile("Images along")).wait_for()
    page.get_by_role("link", name="all directions").click()
    page.locator(".spans a").nth(1).click()
    page.wait_for_url("**?span=2")
    page.locator(".alike a").first.wait_for()  # a part that came later
    page.locator(".pictures a").first.click()
    page.get_by_label("Why does it match").fill("the colour green")
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("cos = ").wait_for()
    assert (
        "text=the+colour+green" in page.url
        and page.get_by_label("Why does it match").input_value() == "the colour green"
    )
    page.go_back()
    page.go_back()
    page.wait_for_url("**?span=2")
    assert page.locator(".spans a").count() > 1


def test_the_grid_by_keys(page) -> None:  # type: ignore[no-untyped-def]
    page.goto(BASE)
    page.locator("a.cell").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.pathname").endswith("/heads/L3.H2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/heads/L3.H2")
    page.keyboard.press("]")
    page.wait_for_url("**/heads/L3.H3")
    page.keyboard.press("[")
    page.wait_for_url("**/heads/L3.H2")


def test_the_legend_dims_the_other_heads(page) -> None:  # type: ignore[no-untyped-def]
    page.goto(BASE)
    button = page.locator(".legend button").first
    button.click()
    name = button.get_attribute("data-dim")
    assert page.locator("a.cell:not(.dimmed)").count() == page.locator(f'a.cell[data-property="{name}"]').count() > 0
    button.click()
    assert page.locator("a.cell.dimmed").count() == 0


def test_a_picture_of_ones_own(page, new_picture: Path) -> None:  # type: ignore[no-untyped-def]
    page.goto(f"{BASE}/images")
    page.get_by_label("An image of yours").set_input_files(str(new_picture))
    page.get_by_role("button", name="Look at it").click()
    page.get_by_text("not in the index").wait_for()  # the page asks again until the model is loaded
    page.get_by_label("Where do heads find").fill("a red star")
    page.get_by_role("button", name="Segment").click()
    page.locator(".map .over").first.wait_for()
    page.get_by_label("Strength of the colours").fill("40")
    assert page.locator(".map .over").first.evaluate("map => map.style.opacity") == "0.4"
    assert page.locator(".map .over").first.evaluate("map => map.naturalWidth") > 100


def test_the_console(page) -> None:  # type: ignore[no-untyped-def]
    page.goto("/sql")
    page.get_by_label("Filter tables").fill("head_prop")
    assert page.locator("aside details:visible").count() == 1
    page.get_by_label("SQL", exact=True).fill("select name as head, property from head_properties order by 1 limit 3")
    page.keyboard.press("Control+Enter")
    page.get_by_text("3 rows in").wait_for()
    page.locator("table.rows a").first.click()
    page.wait_for_url("**/heads/L*")


def test_without_scripts(browser, url: str) -> None:  # type: ignore[no-untyped-def]
    context = browser.new_context(base_url=url, java_script_enabled=False)
    page = context.new_page()
    page.goto(BASE)
    page.locator("a.cell").first.click()
    page.get_by_role("link", name="Compare with the other heads").click()
    page.wait_for_url("**/alike")
    assert page.locator(".alike a").count() == 6
    page.goto("/queries/spans")
    page.locator("main").get_by_label("text (needed)").fill("a ")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/queries/spans?*")
    assert page.locator("table.rows tbody tr").count() > 5
    context.close()


def test_review_by_keys_and_without_scripts(browser, own_index: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    serving = clipdb.serve(own_index, port=0, device="cpu", reviewer="ann", block=False)
    with serving as explorer:  # type: ignore[union-attr]
        page = browser.new_page(base_url=explorer.url)
        page.goto("/review")
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url("**/L1.H0?*")  # keys pressed before the page is there go nowhere
        for key, following in (("a", "L1.H1"), ("x", "L1.H2"), ("s", "L1.H3")):
            page.keyboard.press(key)
            page.wait_for_url(f"**/{following}?")
        page.keyboard.press("r")
        page.keyboard.type("sails")
        page.keyboard.press("Enter")
        page.wait_for_url("**/L1.H4?")
        page.go_back()
        page.get_by_text("You have decided on this head before").wait_for()
        page.close()
        context = browser.new_context(base_url=explorer.url, java_script_enabled=False)
        page = context.new_page()
        page.goto("/review/next?blind=1")
        page.get_by_label("Your name for it").fill("sea")
        page.get_by_role("button", name="Name it").click()
        page.wait_for_url("**/L1.H4?blind=1")
        context.close()
        with clipdb.open(own_index) as index:
            decided = index.sql("select head, property, status from labels where labeller = 'human:ann' order by 1")
            assert [row for row in decided.fetchall() if row[0] > 1] == [(2, "sea", "ok"), (3, "sails", "ok")]
        assert violations(browser, explorer.url, ("/review", "/review/next", "/review/next?blind=1")) == []


def test_pictures_for_the_docs(browser, url: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Twelve states can be shown, each in the size that was asked for, and none is empty."""
    made = take(browser, url, tmp_path)
    assert len({file.stem for file in made}) == 12
    for file in made:
        with Image.open(file) as picture:
            assert picture.size == STATES[file.stem].size
            colours = picture.convert("RGB").resize((100, 100)).getcolors(10_000)
        assert colours is not None and len(colours) > 100, file


def test_anybody_can_use_it(browser, url: str, image_ids: list[str]) -> None:  # type: ignore[no-untyped-def]
    """No violation of WCAG 2.1 AA that axe-core finds, light and dark, wide and narrow; nothing is cut off."""
    image = f"{BASE}/images/{image_ids[0]}"
    addresses = (
        *(BASE, f"{BASE}?text=the+colour+green", f"{BASE}/heads/L3.H0?span=2", f"{BASE}/images?find=scene-0001"),
        *(f"{image}?text=the+colour+green&like=colour", f"{image}/segment?text=a+red+star&head=L3.H0"),
        *(
            f"{BASE}?colour=effect",
            "/compare?a=L1.H0&b=L3.H1",
            "/properties",
            "/queries",
            "/queries/scoreboard",
            "/sql?sql=select+1",
            "/status",
            "/no",
        ),
    )
    assert violations(browser, url, addresses) == []
    # Beside the same tables as above, which take axe-core longer than all other pages do.
    assert violations(browser, url, ("/sql?sql=select+x",), unfold=False) == []


def violations(  # type: ignore[no-untyped-def]
    browser, url: str, addresses: tuple[str, ...], unfold: bool = True
) -> list[tuple[object, ...]]:
    page = browser.new_page(base_url=url, bypass_csp=True)
    found: list[tuple[object, ...]] = []
    for address in addresses:
        while page.goto(address).status == 202:
            page.wait_for_timeout(300)
        wait_until_complete(page)
        found += broken_rules(page, address, unfold)
    page.close()
    return found
