"""Tiny models of transformers of every kind that clipdb reads, with no parameter at a value that would hide a term."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from random_towers import unsettle

SIDE = 32
MOST_PATCHES = 12
"""Of the NaFlex model, whose position embeddings are those of 4 x 4 patches."""
WORDS = 60
_VISION = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": SIDE,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": WORDS,
    "max_position_embeddings": 16,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_ENDS_LAST = {"eos_token_id": WORDS - 1}
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "clip": ("CLIP", _ENDS_LAST, {"projection_dim": 24}),
    "metaclip_2": ("MetaClip2", _ENDS_LAST, {"projection_dim": 24}),
    "siglip": ("Siglip", {"projection_size": 48}, {}),
    "altclip": ("AltCLIP", {"project_dim": 24}, {"projection_dim": 24}),
    "chinese_clip": ("ChineseCLIP", {}, {"projection_dim": 24}),
    "blip": ("Blip", {"encoder_hidden_size": 48, "sep_token_id": 2}, {"image_text_hidden_size": 24}),
}
"""The beginning of the class's name, and what its configuration has of its own, by ``model_type``."""
_FLEXIBLE = {key: value for key, value in _VISION.items() if key != "image_size"} | {"num_patches": 16}
IMAGE_ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "clip_vision_model": ("CLIPVisionModelWithProjection", {"projection_dim": 24}),
    "dinov2": ("Dinov2Model", {"mlp_ratio": 2}),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", {"num_register_tokens": 2, "use_swiglu_ffn": True}),
}
"""The class and what its configuration has of its own, of models without a text tower."""


def small_model(kind: str) -> Any:
    """A model of 2 layers with 3 heads of 16, image 32 x 32."""
    torch.manual_seed(0)
    if kind in IMAGE_ONLY:
        model_class, more = IMAGE_ONLY[kind]
        made = getattr(transformers, model_class)
        return unsettle(made(made.config_class(**_VISION, **more)))
    if kind == "siglip2":  # NaFlex
        text = _TEXT | {"projection_size": 48}
        made = transformers.Siglip2Config(vision_config=dict(_FLEXIBLE), text_config=text)
        return unsettle(transformers.Siglip2Model(made))
    name, text, more = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(vision_config=dict(_VISION), text_config=_TEXT | text, **more)
    made = getattr(transformers, "BlipForImageTextRetrieval" if kind == "blip" else f"{name}Model")(config)
    return unsettle(made)


def save(kind: str, folder: Path) -> Any:
    """Write a model as `save_pretrained` does, with an image processor and a tokenizer of `WORDS` words."""
    model = small_model(kind)
    model.save_pretrained(folder)
    side = {"height": SIDE, "width": SIDE}
    processors = {
        "siglip": transformers.SiglipImageProcessor(size=side),
        "siglip2": transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=MOST_PATCHES),
        "blip": transformers.BlipImageProcessor(size=side),
        "chinese_clip": transformers.ChineseCLIPImageProcessor(size=side, do_center_crop=False),
        "dinov2": transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size=side),
    }
    shortest = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=side)
    processors.get(kind, shortest).save_pretrained(folder)
    if kind not in IMAGE_ONLY:
        tokenizer(kind).save_pretrained(folder)
    return model


def tokenizer(kind: str) -> Any:
    """A tokenizer of words, with the marks that the kind's models have."""
    ends_last = kind in KINDS and KINDS[kind][1] is _ENDS_LAST
    marks = {"<pad>": 0, "<start>": 1, "<end>": WORDS - 1 if ends_last else 2, "<unknown>": 3}
    words = ("a", "red", "green", "blue", "ring", "square", "on", "brick", "photo", "of")
    vocabulary = marks | {word: number for number, word in enumerate(words, start=4)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unknown>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    single = "$A <end>" if kind.startswith("siglip") else "<start> $A <end>"
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=single, special_tokens=[(mark, number) for mark, number in marks.items()]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<start>", eos_token="<end>", unk_token="<unknown>"
    )


def converted(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name open_clip's tensors as transformers does."""
    parts = {
        "visual.proj": "visual_projection.weight",
        "text_projection": "text_projection.weight",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "ln_final": "text_model.final_layer_norm",
        "visual.transformer.resblocks": "vision_model.encoder.layers",
        "transformer.resblocks": "text_model.encoder.layers",
        ".attn.out_proj.": ".self_attn.out_proj.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".mlp.c_fc.": ".mlp.fc1.",
        ".mlp.c_proj.": ".mlp.fc2.",
    }
    found = {}
    for name, tensor in state.items():
        renamed = name
        for ours, theirs in parts.items():
            if renamed.startswith(ours) or (ours.startswith(".") and ours in renamed):
                renamed = renamed.replace(ours, theirs, 1)
        if ".attn.in_proj_" in renamed:
            for way, part in zip("qkv", tensor.chunk(3), strict=True):
                found[renamed.replace(".attn.in_proj_", f".self_attn.{way}_proj.")] = part
        elif name != "attn_mask":
            found[renamed] = tensor.T if name in ("visual.proj", "text_projection") else tensor
    return found


def save_without_texts(folder: Path) -> None:
    """Write the demo's image tower, into another space: a plain linear image of its own."""
    from clipdb.models.loading import load

    model = load("clipdb-tiny/scenes", device="cpu")
    tower, side = model.network.visual, model.preprocess.image_size
    turn = torch.randn(128, 96, generator=torch.Generator().manual_seed(0)) / 128**0.5
    state = {name: one for name, one in converted(model.network.state_dict()).items() if not name.startswith("text")}
    state = {name: one for name, one in state.items() if name.startswith("vision")}
    config = transformers.CLIPVisionConfig(
        hidden_size=tower.proj.shape[0],
        intermediate_size=tower.transformer.resblocks[0].mlp.c_fc.out_features,
        num_hidden_layers=len(tower.transformer.resblocks),
        num_attention_heads=tower.transformer.resblocks[0].attn.num_heads,
        image_size=side,
        patch_size=tower.patch_size[0],
        projection_dim=96,
        hidden_act="gelu",
    )
    made = transformers.CLIPVisionModelWithProjection(config)
    made.load_state_dict(state | {"visual_projection.weight": (tower.proj @ turn).T.contiguous()})
    made.save_pretrained(folder)
    square = {"height": side, "width": side}
    about = {"image_mean": model.preprocess.mean, "image_std": model.preprocess.std}
    transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square, **about).save_pretrained(folder)
