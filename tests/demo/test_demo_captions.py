"""Captions say only what is so, in words that the model knows."""

from __future__ import annotations

from clipdb.demo.captions import PHRASES, full_caption, known_words, phrase, scene_pool, training_caption, words
from clipdb.demo.scenes import PROPERTIES, VALUES, Scene, generator, sample


def value_words(scene: Scene) -> set[str]:
    return {getattr(scene, name) for name in PROPERTIES}


def spoken_values(text: str) -> set[str]:
    """Values that a text names; a plural is its shape."""
    singular = {shape + end: shape for shape in VALUES["shape"] for end in ("s", "es")}
    every = {value for values in VALUES.values() for value in values}
    return {singular.get(word, word) for word in words(text)} & every


def test_training_captions_say_only_what_is_so_in_known_words():
    seen = set()
    for index in range(2000):
        rng = generator(6, index)
        scene = sample(rng)
        text = training_caption(scene, rng)
        seen |= set(words(text))
        assert text and spoken_values(text) <= value_words(scene), (text, scene)

    assert seen <= known_words()


def test_full_captions_say_everything():
    for index in range(200):
        scene = sample(generator(6, index))
        assert spoken_values(full_caption(scene)) == value_words(scene)


def test_a_full_caption_reads_as_english():
    scene = Scene("orange", "cross", "striped", "two", "large", "top", "sand", "interlaced")

    assert full_caption(scene) == "two large striped orange crosses at the top on sand in an interlaced picture"


def test_the_pool_is_several_hundred_different_phrases_of_one_property_each():
    pool = scene_pool()

    assert 400 <= len(pool) <= 1000
    assert len({text for text, _ in pool}) == len(pool)
    assert {tag for _, tag in pool} == set(PROPERTIES)
    for text, tag in pool:
        spoken = spoken_values(text)
        assert len(spoken) == 1 and spoken <= set(VALUES[tag]), text
        assert set(words(text)) <= known_words()


def test_every_property_has_several_ways_to_be_said():
    for name in PROPERTIES:
        said = {phrase(name, VALUES[name][0], template) for template in range(len(PHRASES[name]))}
        assert len(said) >= 8


def test_words_outside_the_world_are_not_known():
    assert {"red", "hearts", "brick", "grainy", "five"} <= known_words()
    assert not {"dog", "cat", "photograph", "center"} & known_words()
