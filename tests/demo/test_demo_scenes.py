"""Scenes are the same every time, and what they are said to show is in their pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from clipdb.demo.layout import COUNTS
from clipdb.demo.scenes import EDGE, PROPERTIES, VALUES, Scene, compose, draw, generator, render, sample
from clipdb.demo.surfaces import COLOURS

PLAIN = Scene("red", "circle", "solid", "one", "large", "centre", "snow", "clean")


def pieces(mask: np.ndarray) -> list[int]:
    """Sizes of the connected pieces of a mask, corners counting as touching."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    sizes = []
    while left:
        stack, size = [left.pop()], 0
        while stack:
            row, column = stack.pop()
            size += 1
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            stack += near
        sizes.append(size)
    return sizes


def scenes(count: int, seed: int = 77, **fixed: str) -> list[tuple[Scene, np.ndarray, np.ndarray]]:
    drawn = []
    for index in range(count):
        rng = generator(seed, index)
        scene = replace(sample(rng), **fixed)
        drawn.append((scene, *draw(scene, rng)))
    return drawn


def test_the_same_seed_and_index_give_the_same_picture():
    pictures = [render(sample(rng), rng).tobytes() for rng in (generator(3, index) for index in [*range(20)] * 2)]

    assert pictures[:20] == pictures[20:]
    assert len(set(pictures)) == 20


def test_every_value_of_every_property_is_drawn_equally_often():
    drawn = [sample(generator(5, index)) for index in range(3000)]

    for name in PROPERTIES:
        counted = Counter(getattr(scene, name) for scene in drawn)
        expected = 3000 / len(VALUES[name])
        assert set(counted) == set(VALUES[name])
        assert all(abs(number - expected) < 5 * expected**0.5 for number in counted.values())


def test_indices_number_the_values():
    assert PLAIN.indices() == (0, 0, 0, 0, 1, 4, 4, 0)


def test_objects_are_as_many_as_said_apart_and_whole():
    for scene, pixels, coverage in scenes(400):
        covered = coverage > 0
        assert pixels.shape == (EDGE, EDGE, 3) and pixels.dtype == np.uint8
        assert len(pieces(covered)) == COUNTS.index(scene.count) + 1, scene
        assert not (covered[0].any() or covered[-1].any() or covered[:, 0].any() or covered[:, -1].any()), scene


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("count", COUNTS)
def test_objects_can_be_counted_by_their_colour_in_the_pixels(colour: str, count: str):
    background = "night" if sum(COLOURS[colour]) > 450 else "snow"
    for index, shape in enumerate(VALUES["shape"]):
        scene = replace(PLAIN, colour=colour, count=count, shape=shape, background=background)
        pixels, _ = draw(scene, generator(8, index))
        distance = np.abs(pixels.astype(int) - COLOURS[colour]).max(axis=2)
        coloured = [size for size in pieces(distance < 40) if size >= 20]
        assert len(coloured) == COUNTS.index(count) + 1, scene


def test_small_objects_are_smaller_than_large_ones_whatever_their_number():
    area = {size: [] for size in VALUES["size"]}
    for scene, _, coverage in scenes(100, shape="square"):
        area[scene.size].append(coverage.sum() / (COUNTS.index(scene.count) + 1))

    assert max(area["small"]) < min(area["large"])


def test_the_group_is_at_its_position():
    for scene, _, coverage in scenes(400, shape="circle"):
        rows, columns = np.nonzero(coverage > 0)
        free = {
            "left": columns.min(),
            "right": EDGE - 1 - columns.max(),
            "top": rows.min(),
            "bottom": EDGE - 1 - rows.max(),
        }
        across = free["left"] / (free["left"] + free["right"])
        down = free["top"] / (free["top"] + free["bottom"])
        share = {"left": across, "right": 1 - across, "top": down, "bottom": 1 - down}
        beside = {side: value for side, value in share.items() if side != scene.position}
        if scene.position == "centre":
            assert min(share.values()) > 0.34, scene
        else:
            assert share[scene.position] < 0.3 < min(beside.values()), scene


def test_only_solid_objects_have_one_shade():
    spread = {}
    for texture in VALUES["texture"]:
        pixels, coverage = draw(replace(PLAIN, texture=texture), generator(4, 0))
        spread[texture] = pixels[coverage == 1].std(axis=0).max()

    assert spread.pop("solid") == 0
    assert min(spread.values()) > 20


def test_styles_change_the_whole_picture_as_they_say():
    drawn = {style: draw(replace(PLAIN, style=style), generator(4, 0))[0].astype(float) for style in VALUES["style"]}
    clean = drawn["clean"]

    assert np.abs(drawn["faded"] - (clean * 0.5 + 106)).max() < 1.1
    assert np.abs(drawn["interlaced"][::2] - clean[::2]).max() == 0
    assert np.abs(drawn["interlaced"][1::2] - clean[1::2] * 0.66).max() < 1.1
    assert 12 < (drawn["grainy"] - clean)[clean.max(axis=2) < 230].std() < 24
    assert np.abs(np.diff(drawn["blurry"], axis=0)).mean() < 0.6 * np.abs(np.diff(clean, axis=0)).mean()


def test_backgrounds_are_told_apart_by_colour_or_structure():
    described = {}
    for background in VALUES["background"]:
        pixels = draw(replace(PLAIN, background=background, size="small"), generator(4, 0))[0][:16].astype(float)
        described[background] = np.array([*pixels.mean(axis=(0, 1)), *pixels.std(axis=(0, 1))])
    names = list(described)
    gaps = [np.abs(described[a] - described[b]).max() for a in names for b in names if a < b]

    assert min(gaps) > 10


@pytest.mark.parametrize("name", PROPERTIES)
def test_with_a_stream_for_each_part_only_one_property_changes(name: str):
    def painted(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        return compose(scene, lambda part, number: np.random.default_rng([len(part), ord(part[1]), number]))

    first = Scene("red", "circle", "solid", "two", "large", "left", "grass", "clean")
    other = replace(first, **{name: next(value for value in VALUES[name] if value != getattr(first, name))})
    (pixels, coverage), (pixels_then, coverage_then) = painted(first), painted(other)
    assert not np.array_equal(pixels, pixels_then)
    if name in ("colour", "texture", "background", "style"):
        assert np.array_equal(coverage, coverage_then)
    if name in ("colour", "texture", "count", "size", "position", "shape"):
        away = ~(spread(coverage) | spread(coverage_then))
        assert away.any() and np.array_equal(pixels[away], pixels_then[away])


def spread(coverage: np.ndarray) -> np.ndarray:
    """Objects with two pixels around them."""
    grown = coverage > 0
    for _ in range(2):
        grown = grown | np.roll(grown, 1, 0) | np.roll(grown, -1, 0) | np.roll(grown, 1, 1) | np.roll(grown, -1, 1)
    return grown
