"""Take the pictures of the explorer that the docs show: `python tools/screenshots.py INDEX DIR`.

It shows twelve states of an index in a browser without a window, and writes a WebP of each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from browser import launched, wait_until_complete
from PIL import Image

import clipdb

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDE, NARROW = (1400, 900), (390, 844)
_QUALITY = 82
_PATIENCE = 120_000.0  # milliseconds, while a model is loaded

SQL = """select property, name as head, text, round(variance_explained, 3) as variance
from head_properties join head_spans using (model_id, layer, head)
where rank = 1
order by variance_explained desc
limit 15"""


@dataclass(frozen=True)
class State:
    """An address of the explorer, and how it is looked at."""

    address: str
    size: tuple[int, int] = WIDE
    dark: bool = False


STATES = {
    "model": State("{base}"),
    "words": State("{base}?text=the+colour+green"),
    "fit-dark": State("{base}?colour=fit", dark=True),
    "head": State("{base}/heads/{head}?span=2"),
    "head-dark": State("{base}/heads/{head}", dark=True),
    "images": State("{base}/images"),
    "image": State("{base}/images/{image}?text=the+colour+green"),
    "segment": State("{base}/images/{image}/segment?text=the+colour+green&head={heads}"),
    "query": State("/queries/layers"),
    "sql": State(f"/sql?{urlencode({'sql': SQL})}"),
    "model-narrow": State("{base}", size=NARROW),
    "head-narrow": State("{base}/heads/{head}?span=2", size=NARROW),
}
"""Name -> state."""


def take(browser: Browser, url: str, directory: Path, names: Sequence[str] = ()) -> list[Path]:
    """Take pictures of states; of all of them, where none are named.

    Parameters
    ----------
    browser
        Which takes them.
    url
        Of a running explorer, without a slash at its end.
    directory
        Where to.
    names
        Of states.

    Raises
    ------
    RuntimeError
        If a page can't be shown.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts = _parts(url)
    made = [directory / f"{name}.webp" for name in names or STATES]
    for file in made:
        state = STATES[file.stem]
        picture = _shot(browser, url + state.address.format(**parts), state)
        Image.open(BytesIO(picture)).convert("RGB").save(file, "WEBP", quality=_QUALITY, method=6)
    return made


def _parts(url: str) -> dict[str, str]:
    """Choose what is shown: a model, its surest heads of colours, and the image that moves the surest most."""

    def ask(query: str, **given: str) -> list[dict[str, Any]]:
        with urlopen(f"{url}/api/queries/{query}?{urlencode(given)}") as answer:
            told = json.load(answer)
        return [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]

    heads = ask("heads")
    model = heads[0]["model_id"]
    coloured = [row for row in heads if row["property"] == "colour"] or heads
    surest = [row["head"] for row in sorted(coloured, key=lambda row: -(row["share"] or 0))[:3]]
    image = ask("activating", model=model, head=surest[0], k="1")[0]["image_id"]
    return {"base": f"/models/{model}", "head": surest[0], "heads": ",".join(surest), "image": image}


def _shot(browser: Browser, address: str, state: State) -> bytes:
    """Show a page, which waits as long as its model is at work, and take its picture."""
    width, height = state.size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if state.dark else "light")
    try:
        page.goto(address)
        page.locator("h1:not(:text-is('One moment'))").wait_for(timeout=_PATIENCE)  # the page asks again by itself
        wait_until_complete(page)
        if page.locator(".problem").count():
            raise RuntimeError(f"{address} can't be shown: {page.locator('.problem').first.inner_text()}")
        return page.screenshot()
    finally:
        page.close()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("index", type=Path)
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("names", nargs="*", metavar="STATE", help=f"of {', '.join(STATES)} [default: all]")
    given = arguments.parse_args()
    explorer = clipdb.serve(given.index, port=0, block=False)
    assert explorer is not None
    with explorer, launched() as browser:
        for file in take(browser, explorer.url.rstrip("/"), given.directory, given.names):
            print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
