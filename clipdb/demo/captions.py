"""What is said about scenes: training captions, phrases for one property, and the `scenes` pool."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import numpy as np

from .scenes import PROPERTIES, VALUES, Scene

# Each phrase speaks of one property only. {v} is the value, {n} its noun: plural but after the count one.
PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "colour": (
        "a {v} object",
        "{v} objects",
        "something {v}",
        "{v} things",
        "a picture of {v} objects",
        "the colour {v}",
        "painted {v}",
        "all of it is {v}",
    ),
    "shape": (
        "a {v}",
        "{n}",
        "a picture of {n}",
        "the shape of a {v}",
        "shaped like a {v}",
        "a thing shaped like a {v}",
        "the outline of a {v}",
        "{v} shapes",
    ),
    "texture": (
        "a {v} object",
        "{v} objects",
        "something {v}",
        "{v} things",
        "a picture of {v} objects",
        "a {v} texture",
        "a {v} pattern",
        "a {v} surface",
        "{v} all over",
        "with a {v} look",
    ),
    "count": (
        "{v} {n}",
        "a picture of {v} {n}",
        "exactly {v}",
        "{v} in number",
        "a group of {v}",
        "there are {v}",
        "{v} of them",
        "the number {v}",
        "counting to {v}",
        "{v} in all",
    ),
    "size": (
        "a {v} object",
        "{v} objects",
        "something {v}",
        "{v} things",
        "a picture of {v} objects",
        "a {v} size",
        "{v} in size",
        "rather {v}",
        "very {v}",
        "objects that are {v}",
        "things that are {v}",
        "it looks {v}",
    ),
    "position": (
        "at the {v}",
        "an object at the {v}",
        "objects at the {v}",
        "something at the {v}",
        "placed at the {v}",
        "a picture with objects at the {v}",
        "towards the {v}",
        "the {v} of the picture",
        "it stands at the {v}",
        "things at the {v}",
    ),
    "background": (
        "on {v}",
        "objects on {v}",
        "something on {v}",
        "a background of {v}",
        "in front of {v}",
        "a picture with {v} behind",
        "{v} behind it",
        "{v} in the background",
    ),
    "style": (
        "a {v} picture",
        "a {v} image",
        "a {v} photo",
        "a picture that is {v}",
        "a {v} style",
        "{v} picture quality",
        "the image is {v}",
        "in a {v} style",
        "a {v} view",
        "an image with a {v} look",
    ),
}
"""Phrases for each property; the first is the one that zero-shot accuracy is measured with."""

_MENTIONED: Final = 0.55


def phrase(name: str, value: str, template: int = 0) -> str:
    """Describe one property of a picture, in one of the ways of `PHRASES`."""
    text = PHRASES[name][template].format(v=value, n=_noun(name, value))
    return _with_article(text)


def scene_pool() -> list[tuple[str, str]]:
    """List the `scenes` pool: every (description, property) that one property alone can give, in a fixed order."""
    return [
        (phrase(name, value, template), name)
        for name in PROPERTIES
        for template in range(len(PHRASES[name]))
        for value in VALUES[name]
    ]


def full_caption(scene: Scene) -> str:
    """Describe everything about a scene in one sentence."""
    return _sentence(scene, set(PROPERTIES), in_front=False)


def training_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Describe a random part of a scene in one of several sentence forms; never an empty caption."""
    said = {name for name in PROPERTIES if rng.random() < _MENTIONED}
    if not said:
        said = {PROPERTIES[int(rng.integers(len(PROPERTIES)))]}
    return _sentence(scene, said, in_front=bool(rng.random() < 0.4))


@cache
def known_words() -> frozenset[str]:
    """List every word that training can have seen, in lower case. A query with none of them means nothing."""
    texts = [text for text, _ in scene_pool()]
    for name in PROPERTIES:
        for value in VALUES[name]:
            scene = Scene(**{**{other: values[0] for other, values in VALUES.items()}, name: value})
            for count in ("one", "two"):
                counted = Scene(**{**_values(scene), "count": count})
                texts += [full_caption(counted), _sentence(counted, set(PROPERTIES), in_front=True)]
    texts.append("an a picture object objects")
    return frozenset(word for text in texts for word in words(text))


def words(text: str) -> list[str]:
    """Split a text into lower-case words."""
    return re.findall(r"[a-z]+", text.lower())


def _values(scene: Scene) -> dict[str, str]:
    return {name: getattr(scene, name) for name in PROPERTIES}


def _sentence(scene: Scene, said: set[str], *, in_front: bool) -> str:
    many = scene.count != "one" and bool(said & {"count"})
    noun = scene.shape if "shape" in said else "object"
    plural = many or ("count" not in said and scene.count != "one")
    parts = [scene.count] if "count" in said else ([] if plural else ["a"])
    parts += [getattr(scene, name) for name in ("size", "texture", "colour") if name in said]
    parts.append(_plural(noun) if plural else noun)
    if "position" in said:
        parts.append(f"at the {scene.position}")
    if "background" in said:
        parts.append(f"in front of {scene.background}" if in_front else f"on {scene.background}")
    text = " ".join(parts)
    if "style" in said:
        text = f"a {scene.style} picture of {text}" if in_front else f"{text} in a {scene.style} picture"
    return _with_article(text)


def _noun(name: str, value: str) -> str:
    if name == "shape":
        return _plural(value)
    return "object" if value == "one" else "objects"


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def _with_article(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
