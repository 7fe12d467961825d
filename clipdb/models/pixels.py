"""Pictures of any mode and orientation, as upright images of 8 bits a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, pixels: Image.Image) -> Image.Image:
    """Turn `pixels` as the EXIF orientation of the loaded `image` says; damaged EXIF says nothing."""
    turn = orientation(image)
    return pixels.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else pixels


def upright_size(turn: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return what becomes of a width and height when a picture of an EXIF orientation is turned upright."""
    return size[::-1] if turn in (5, 6, 7, 8) else size


def orientation(image: Image.Image) -> Any:
    """Read the EXIF orientation, 1 where there is none; None where EXIF is damaged, and anything that it may say."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # decoders raise nearly anything; the pixels are whole, so the image is good
        return None


def eight_bits(image: Image.Image) -> Image.Image:
    """Bring modes that Pillow resizes by nearest neighbour or clips to white into 8 bits a channel."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        # the high byte, as Pillow itself takes it from 16-bit RGB
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(_scale(np.asarray(image)))
    return image


def _scale(values: np.ndarray) -> np.ndarray:
    """Map 32-bit samples [H, W] to uint8.

    Their range is not stated: 0..1 is taken for floats that fit in it, then 0..255, 0..65535, else their own.
    """
    floats = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1 and floats:
        values = values * 255
    elif low < 0 or high > 65535:
        values, high = (values - low) / (high - low) * 255, 255.0
    elif high > 255:
        values = np.floor(values / 256)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def on_white(image: Image.Image) -> Image.Image:
    """Lay what is transparent on white, as transformers' processors do."""
    if "A" not in image.getbands() and image.info.get("transparency") is None:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
