"""The kinds of models of transformers that embed images, with or without texts, and what differs between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clipdb.errors import ClipdbError

# Numbers in a configuration that no model has: what is larger would fill the memory before its weights are compared.
_MOST = 1_000_000
_MOST_LAYERS = 1000
_CODE = ("auto_map", "trust_remote_code")
_REFUSED = {
    "xclip": "an X-CLIP, whose frames exchange messages, so that what its heads write isn't a sum",
    "siglip_vision_model": "SigLIP's image tower alone: give the whole model",
}


@dataclass(frozen=True)
class Kind:
    """What clipdb needs to know of a kind of model.

    Attributes
    ----------
    model_class
        Its class in transformers.
    masked
        Whether its text tower is told where a text ends. The others are causal, or read the padding.
    whole
        Whether texts are always padded to the full length, since the last place is read.
    texts
        Whether there is a text tower: without one, `clipdb align` lets texts reach the model.
    """

    model_class: str
    masked: bool = False
    whole: bool = False
    texts: bool = True


KINDS = {
    "clip": Kind("CLIPModel"),
    "metaclip_2": Kind("MetaClip2Model"),
    "siglip": Kind("SiglipModel", whole=True),
    "siglip2": Kind("Siglip2Model", whole=True),  # NaFlex; SigLIP 2 of one image size is published as siglip
    "altclip": Kind("AltCLIPModel", masked=True),
    "chinese_clip": Kind("ChineseCLIPModel", masked=True),
    "blip": Kind("BlipForImageTextRetrieval", masked=True),
    "clip_vision_model": Kind("CLIPVisionModelWithProjection", texts=False),
    "dinov2": Kind("Dinov2Model", texts=False),
    "dinov2_with_registers": Kind("Dinov2WithRegistersModel", texts=False),
}
"""By ``model_type`` of ``config.json``."""


def kind_of_model(config: dict[str, Any], where: str) -> Kind:
    """Find the kind of model that a ``config.json`` describes, which a stranger may have written.

    Raises
    ------
    ClipdbError
        If clipdb reads no such model, or the file asks for somebody's code or has sizes that no model has.
    """
    _check(config, where)
    model_type, classes = config.get("model_type"), config.get("architectures") or []
    kind = KINDS.get(model_type) if isinstance(model_type, str) else None
    if kind is None:
        reason = _REFUSED.get(str(model_type), f"of the type {model_type!r}")
        raise ClipdbError(f"{where} describes a model that clipdb can't read, {reason}: it reads {', '.join(KINDS)}")
    if classes and kind.model_class not in classes:
        raise ClipdbError(f"{where} describes a {classes[0]}: clipdb reads {kind.model_class} of this type")
    return kind


def _check(content: Any, where: str, name: str = "") -> None:
    if isinstance(content, dict):
        if asked := [key for key in _CODE if content.get(key)]:
            raise ClipdbError(f"{where} asks to run code of others ({asked[0]}): clipdb doesn't")
        for key, value in content.items():
            _check(value, where, key)
    elif isinstance(content, list):
        for value in content:
            _check(value, where, name)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        most = _MOST_LAYERS if name == "num_hidden_layers" else _MOST
        if not abs(content) <= most:
            raise ClipdbError(f"{where} has {name} {content}: no model has more than {most:,}")
