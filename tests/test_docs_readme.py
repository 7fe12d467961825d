"""README.md and the pages of docs/ that have no test of their own: every command runs, in the order of the pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile_server import Asked, Sent, named, serving
from PIL import Image
from support import rows
from test_docs_labels import SERVER

import clipdb

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("ask", "segment", "pools", "compare", "explorer", "meaning")),
)
# Each has a test_docs_*.py of its own, but the demo's page, whose test is with the demo's.
ELSEWHERE = {
    "artefacts.md",
    "cluster.md",
    "demo.md",
    "directions.md",
    "edited-weights.md",
    "extending.md",
    "labels.md",
    "millions.md",
    "object-stores.md",
    "own-data.md",
    "sql.md",
    "test-a-name.md",
    "tutorial.md",
}
GENERATED = {"cli.md", "python.md", "queries.md", "schema.md"}

# What can't be had offline, or isn't in the packaged model: what stands in for it.
INSTEAD = {
    "ViT-L-14/laion2b_s32b_b82k": "clipdb-tiny/scenes",
    "L11.H3": "L3.H0",
    "L11.H3,L10.H8": "L3.H0,L2.H1",
    "hf://datasets/ada/heads": "heads/",
}
# The packaged model knows only the words of its own world, an image's id depends on its bytes, and a server runs until
# it is stopped.
INSTEAD_OF_LINES = {
    "clipdb span": "clipdb span --pool scenes",
    "clipdb ablate --each --target texture --images 64 --limit 4": "clipdb ablate --each --target texture --images 12",
    "clipdb demo": "clipdb demo --scenes 100 --no-names",
    "clipdb mcp": "clipdb mcp --help",
    "clipdb serve --open": "clipdb serve --help",
    "clipdb serve -i clipdb-demo/demo.clipdb --open": "clipdb serve --help",
    "clipdb serve -i clipdb-demo/demo.clipdb --reviewer ada": "clipdb serve --help",
    "clipdb export pages pages/ -i clipdb-demo/demo.clipdb": "clipdb export pages --help",
    "clipdb export pages heads-site/ --yes": "clipdb export pages heads-site/ --yes --images 6",
    "clipdb serve -i clipdb-demo/demo.clipdb --public --host 0.0.0.0 --allow-host ada.org": "clipdb serve --help",
}
AN_ID = "3f2a90"
TYPED = {"clipdb shell": "heads --limit 1\nquit\n", "clipdb review --reviewer ada --sample 20": "a\nq\n"}

COMMAND = re.compile(r"^\$ (clipdb .+)$", re.MULTILINE)
INDEX = re.compile(r"^\$ export CLIPDB_INDEX=(.+)$", re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Read the commands of a page, without their comments."""
    return [shlex.join(shlex.split(line, comments=True)) for line in COMMAND.findall(page.read_text(encoding="utf-8"))]


def answer(asked: Asked) -> Sent:
    """Name heads by the two properties that the pages go on to ask about."""
    return named(asked, property="texture" if asked.head == "L2.H2" else "colour")


def prepare() -> None:
    """Make the files that the pages name."""
    from clipdb import demo

    photos = [path for path, _ in demo.write_scenes(Path("photos"), 60, 5)]
    for name, photo in (("cat.jpg", photos[0]), ("photo.jpg", photos[1])):
        with Image.open(photo) as image:
            image.convert("RGB").save(name, quality=95)
    labelled = [f"{photo},{'red' if place % 2 else 'blue'}" for place, photo in enumerate(photos)]
    Path("photos.csv").write_text("\n".join(["path,label", *labelled, ""]))
    Path("birds.csv").write_text("text,property\na red circle,colour\na blue star,colour\na striped object,texture\n")


def run(line: str, server: str) -> str:
    """Run a command of a page with what stands in for what can't be had."""
    from clipdb.cli import main

    arguments = [{SERVER: server, **INSTEAD}.get(one, one) for one in shlex.split(INSTEAD_OF_LINES.get(line, line))[1:]]
    if AN_ID in arguments:
        known = rows(Path("index.clipdb"), "select image_id from images where uri not like '%.jpg' limit 1")
        arguments[arguments.index(AN_ID)] = known[0][0][:6]
    result = CliRunner().invoke(main, arguments, input=TYPED.get(line, ""))
    assert result.exit_code == 0, (line, arguments, result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the pages printed."""
    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch, serving(answer) as server:
        patch.chdir(tmp_path_factory.mktemp("pages"))
        patch.delenv("CLIPDB_INDEX", raising=False)
        patch.setattr("clipdb.api.opening._kept", None)  # the shell keeps models, which no later test expects
        prepare()
        for page in PAGES:
            for index in INDEX.findall(page.read_text(encoding="utf-8")):
                patch.setenv("CLIPDB_INDEX", index)
            for line in commands(page):
                outputs[line] = run(line, server.url)
        yield outputs


def test_every_command_prints_something_or_writes_its_file(printed: dict[str, str]) -> None:
    assert len(printed) > 55
    for line, output in printed.items():
        assert output.strip(), line
    for file in ("a.png", "near.png", "scoreboard.png", "why.png", "stripes.png", "contrast.png"):
        assert Path(file).read_bytes().startswith(b"\x89PNG"), file
    assert Path("heads.csv").read_text().count("\n") > 1


def test_heads_neighbours_and_models_are_found(printed: dict[str, str]) -> None:
    assert "L3.H0" in printed["clipdb query property colour"]
    assert len(printed["clipdb query property-neighbours cat.jpg --like colour"].splitlines()) >= 12
    assert rows(Path("mine.clipdb"), "select count(*) from images") == rows(
        Path("index.clipdb"), "select count(*) from images"
    )
    assert "30 heads" in printed["clipdb label --labeller vote --pool scenes"]


def test_the_python_of_the_pages_runs(printed: dict[str, str]) -> None:
    for page, count in ((PAGES[0], 1), (PAGES[1], 2)):
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        assert len(blocks) == count
        for block in blocks:
            exec(block, {"clipdb": clipdb})


def test_the_readme_fits_on_a_page() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 120


def test_what_stands_in_is_needed() -> None:
    words = {word for page in PAGES for line in commands(page) for word in shlex.split(line)}
    lines = {line for page in PAGES for line in commands(page)}
    assert {*INSTEAD, SERVER, AN_ID} <= words and {*INSTEAD_OF_LINES, *TYPED} <= lines


def test_every_page_with_commands_has_a_test_and_a_link() -> None:
    from clipdb.cli import VERBS

    pages = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    written = pages.keys() - GENERATED
    # Lines that aren't written as commands would be run by no test.
    assert not [name for name in written if re.search(rf"^ *clipdb ({'|'.join(VERBS)})\b", pages[name], re.MULTILINE)]
    assert {name for name in written if COMMAND.search(pages[name])} <= {page.name for page in PAGES} | ELSEWHERE
    readme = PAGES[0].read_text(encoding="utf-8")
    assert {name for name in pages if f"](docs/{name})" not in readme} == set()
    assert all((ROOT / link).exists() for link in re.findall(r"\]\((?!http)([^)#]+)", readme))
    beside = {page.name for page in ROOT.glob("*.md")}
    assert set(re.findall(r"\]\(([\w-]+\.md)[#)]", readme)) <= beside
    for text in (re.sub(r"\]\((?!docs/)", "", readme).replace("](docs/", "]("), *pages.values()):
        assert set(re.findall(r"\]\(([\w-]+\.md)[#)]", text)) <= pages.keys()
