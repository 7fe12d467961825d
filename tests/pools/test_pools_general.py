"""The shipped pool `general`: is it broad, even, well formed, and what its vocabularies give?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from tool_scripts import tool as load_tool

from clipdb import pools

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "expand_pool.py"
FOLDER = ROOT / "clipdb" / "pools" / "general"

# Words whose first letter and first sound disagree; an article before any other word follows the letter.
VOWEL_LETTER_CONSONANT_SOUND = re.compile(r"(u(ni[^n]|se|tensil|kulele|kiyo|-)|eu|one\b|once)", re.IGNORECASE)
CONSONANT_LETTER_VOWEL_SOUND = re.compile(r"(hour|honest|heir|[xls]-|8|11|18)", re.IGNORECASE)

# What a pool of pictures cannot leave out.
EXPECTED = {
    "colour", "texture", "pattern", "shape", "counting", "size", "location", "position", "season", "weather",
    "time of day", "animals", "plants", "food", "drink", "clothing", "people", "body parts", "emotion",
    "occupation", "sports", "vehicles", "buildings", "interiors", "nature", "art style", "photography",
    "lighting", "text and symbols", "materials", "actions", "music", "technology", "household objects",
    "tools", "events", "time period", "letters",
}  # fmt: skip


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("expand_pool")


@pytest.fixture(scope="module")
def general() -> list[pools.PoolText]:
    return pools.load("general")


def test_there_are_enough_descriptions_and_properties(general: list[pools.PoolText]) -> None:
    assert len(general) >= 3500
    assert {row.property for row in general} == EXPECTED


def test_no_property_drowns_another(general: list[pools.PoolText]) -> None:
    counts = Counter(row.property for row in general)
    assert min(counts.values()) >= 80
    assert max(counts.values()) <= 260


def test_no_text_occurs_twice_whatever_its_case(general: list[pools.PoolText]) -> None:
    counts = Counter(" ".join(row.text.casefold().split()) for row in general)
    assert [text for text, count in counts.items() if count > 1] == []


def test_texts_are_short_sentences_in_plain_characters(general: list[pools.PoolText]) -> None:
    odd = [
        row.text
        for row in general
        if not 3 <= len(row.text.split(" ")) <= 10 or re.search(r"[^\w '.-]|_|^\W|[^\w]$", row.text)
    ]
    assert odd == []


def test_articles_follow_the_sound(general: list[pools.PoolText]) -> None:
    wrong = []
    for row in general:
        # "letter A" is no article, and neither is "from A to Z".
        for article, following in re.findall(r"\b(an?) (\S+)", row.text):
            by_letter = following[0].lower() in "aeiou"
            vowel = by_letter and not VOWEL_LETTER_CONSONANT_SOUND.match(following)
            vowel = vowel or bool(CONSONANT_LETTER_VOWEL_SOUND.match(following))
            if (article == "an") != vowel:
                wrong.append(row.text)
    assert wrong == []


def test_nothing_is_left_of_a_template(general: list[pools.PoolText]) -> None:
    doubled = [row.text for row in general if re.search(r"[{}|]|\b(\w+) \1\b|\ba (the|an?)\b", row.text)]
    assert doubled == []


def test_it_is_not_one_template_times_a_list(general: list[pools.PoolText]) -> None:
    """No opening of three words carries more than a third of a property."""
    for name in EXPECTED:
        texts = [row.text for row in general if row.property == name]
        opening, count = Counter(" ".join(text.split()[:3]) for text in texts).most_common(1)[0]
        assert count <= len(texts) / 3, (name, opening, count)


def test_vocabularies_and_handwritten_parts_are_large() -> None:
    words: set[str] = set()
    for path in FOLDER.glob("*.toml"):
        data = tomllib.loads(path.read_text("utf-8"))
        entries = [word.casefold() for one in data["sets"] for word in one["words"]]
        assert len(entries) == len(set(entries)), path.name
        assert len(data["handwritten"]) >= 10, path.name
        assert path.stem == data["property"].replace(" ", "-")
        assert data["about"].endswith(".")
        words.update(entries)
    assert len(words) >= 2500


def test_every_word_of_a_vocabulary_is_used(tool: ModuleType) -> None:
    for path in FOLDER.glob("*.toml"):
        for one in tomllib.loads(path.read_text("utf-8"))["sets"]:
            for word in one["words"]:
                texts = list(tool.expand_set({**one, "words": [word]}))
                assert len(texts) == one.get("uses", 1), (path.name, word)
                assert all(word in text for text in texts), (path.name, word)


def test_the_guide_names_every_property() -> None:
    guide = " ".join((ROOT / "docs" / "pools.md").read_text("utf-8").split())
    assert [name for name in sorted(EXPECTED) if not re.search(rf"\b{name}\b", guide)] == []


def test_the_shipped_file_is_current(general: list[pools.PoolText], tool: ModuleType) -> None:
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tuple(row) for row in general] == tool.expand(FOLDER)


def test_check_fails_on_a_stale_or_missing_file_and_writing_repairs_it(
    tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FOLDER, tmp_path / "general")
    shipped = (FOLDER.parent / "general.csv").read_bytes()
    arguments = ["--pools", str(tmp_path)]
    assert tool.main([*arguments, "--check"]) == 1
    assert "is stale: run  python tools/expand_pool.py" in capsys.readouterr().err
    assert tool.main(arguments) == 0
    assert (tmp_path / "general.csv").read_bytes() == shipped

    changed = (tmp_path / "general" / "plants.toml").read_text("utf-8").replace('"rose"', '"wallflower"')
    (tmp_path / "general" / "plants.toml").write_text(changed, "utf-8")
    assert tool.main([*arguments, "--check"]) == 1
    assert tool.main(arguments) == 0
    before, after = shipped.splitlines(), (tmp_path / "general.csv").read_bytes().splitlines()
    moved = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(moved) == 1, "a changed word moves its own row only"


def test_a_text_in_two_properties_is_refused(tmp_path: Path, tool: ModuleType) -> None:
    for name in ("colour", "plants"):
        text = f'property = "{name}"\nhandwritten = ["A red ROSE", ]\nsets = []\n'
        (tmp_path / f"{name}.toml").write_text(text if name == "plants" else text.lower(), "utf-8")
    with pytest.raises(ValueError, match=r"plants.toml: 'A red ROSE' is already in 'colour'"):
        tool.expand(tmp_path)


@pytest.mark.parametrize(
    ("phrase", "article"),
    [
        ("apple", "an"), ("horse", "a"), ("hourglass", "an"), ("unicycle", "a"), ("uniform", "a"),
        ("umbrella", "an"), ("uninhabited island", "an"), ("ukulele", "a"), ("X-ray machine", "an"),
        ("xylophone", "a"), ("eucalyptus tree", "a"), ("S-shaped object", "an"), ("U-shaped object", "a"),
        ("one-way street", "a"), ("Expressionist", "an"), ("university", "a"),
    ],
)  # fmt: skip
def test_article(tool: ModuleType, phrase: str, article: str) -> None:
    assert tool.article(phrase) == article
