"""Formats of image files that are read: Pillow's, and HEIC where its plugin is installed."""

from __future__ import annotations

import re

from PIL import Image

from clipdb._util.installing import pip_install

try:
    import pillow_heif
except ModuleNotFoundError:  # an extra
    pass
else:
    pillow_heif.options.DECODE_THREADS = 1  # there is a decoder on every core already
    pillow_heif.register_heif_opener()

Image.init()
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
    if name in Image.OPEN  # AVIF, for one, is not in every Pillow
)
"""Formats that are tried, by Pillow's names; some others start programs (EPS) or lack a signature (TGA)."""

_HEIC = re.compile(rb".{4}ftyp(hei|hev|mif1|msf1)", re.DOTALL)


def heic_hint() -> str:
    """Return what to do about pictures as phones take them, where ``HEIF`` is not among `FORMATS`."""
    return f"`{pip_install('heic')}` reads HEIC"


def is_heic(data: bytes) -> bool:
    """Return, by its beginning, whether a file is HEIC."""
    return _HEIC.match(data) is not None
