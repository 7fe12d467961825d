"""JPEGs that a device decodes and fits to a model, as `clipdb.models.preprocess.decode` does it with Pillow.

torchvision decodes: with NVIDIA's nvJPEG on a GPU, with libjpeg-turbo on the CPU. Its pixels differ from Pillow's by
rounding, and where decoders enlarge colours that were stored at half the size in their own ways. Whatever isn't a plain
JPEG is left to Pillow, so that the same files are damaged, or of an unknown format, on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from clipdb.errors import ClipdbError
from clipdb.models.file_check import problem_of
from clipdb.models.pixels import orientation
from clipdb.models.preprocess import MAX_BYTES, Preprocess, is_long, layout

AT_ONCE = 2**27
"""The most pixels that are decoded at once: three bytes each, and twelve while one picture is resized."""

_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # EXIF: how often `torch.rot90` turns a picture counterclockwise
_MIRRORED = (2, 4, 5, 7)


class PlainJpeg(NamedTuple):
    """What the header of a JPEG says: width and height as stored, and the EXIF orientation, 1 to 8."""

    width: int
    height: int
    orientation: int


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """Read the header of a JPEG that decoders agree on: whole, grey or in the colours of JFIF, and of a usual shape.

    Returns
    -------
    PlainJpeg or None
        None for all that Pillow had better decode, or refuse.
    """
    # A file that was cut off has no end behind its last scan: Pillow refuses it, other decoders make the rest grey.
    if len(data) > MAX_BYTES or data.rfind(_END) <= data.rfind(_SCAN) or problem_of(data):
        return None
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            (width, height), turn = image.size, orientation(image)
            colours = image.mode == "L" or (
                image.mode == "RGB" and ("jfif" in image.info or image.info.get("adobe_transform") == 1)
            )
            bomb = Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS
            if image.format != "JPEG" or not colours or bomb or width * height > AT_ONCE or is_long(width, height):
                return None
            return PlainJpeg(width, height, turn if turn in range(1, 9) else 1)
    except Exception:  # decoders raise nearly anything, and Pillow says it of this file in a moment
        return None


class DeviceJpegs:
    """Decode plain JPEGs on a device.

    Parameters
    ----------
    preprocess
        What the model wants.
    device
        Where pictures are decoded.

    Raises
    ------
    ClipdbError
        If the model takes pictures in their own shape, or torchvision can't decode on the device.
    """

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        if preprocess.resize_mode == "patches":
            raise ClipdbError("--gpu-decode: the model takes pictures in their own shape, which Pillow cuts")
        self.preprocess, self.device = preprocess, device
        file = BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG")
        try:
            self._decoded([file.getvalue()])
        except RuntimeError as error:
            why = str(error).strip().partition("\n")[0]
            raise ClipdbError(f"--gpu-decode: torchvision can't decode on {device} here: {why}") from None

    def __call__(self, images: Sequence[bytes], headers: Sequence[PlainJpeg]) -> list[torch.Tensor | None]:
        """Decode pictures and fit them to the model.

        Parameters
        ----------
        images
            The bytes of each file.
        headers
            What `plain_jpeg` says of each.

        Returns
        -------
        list of torch.Tensor
            uint8 ``[S, S, 3]`` each, on the device; None for one that couldn't be decoded.
        """
        fitted: list[torch.Tensor | None] = []
        group: list[bytes] = []
        pixels = 0
        for data, header in zip(images, headers, strict=True):
            if group and pixels + header.width * header.height > AT_ONCE:
                fitted += self._group(group, headers[len(fitted) :])
                group, pixels = [], 0
            group.append(data)
            pixels += header.width * header.height
        return fitted + self._group(group, headers[len(fitted) :]) if group else fitted

    def _group(self, images: Sequence[bytes], headers: Sequence[PlainJpeg]) -> list[torch.Tensor | None]:
        try:
            pictures: list[torch.Tensor | None] = [*self._decoded(images)]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # one of them is damaged, and nothing says which
            pictures = [self._one(data) for data in images]
        return [
            None if picture is None else self._fit(picture, header)
            for picture, header in zip(pictures, headers, strict=False)
        ]

    def _one(self, data: bytes) -> torch.Tensor | None:
        try:
            return self._decoded([data])[0]
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return None

    def _decoded(self, images: Sequence[bytes]) -> list[torch.Tensor]:
        """Decode JPEGs as they are stored, uint8 ``[3, height, width]`` each."""
        from torchvision.io import ImageReadMode, decode_jpeg

        given = [torch.from_numpy(np.frombuffer(bytearray(data), np.uint8)) for data in images]
        decoded: list[torch.Tensor] = decode_jpeg(given, mode=ImageReadMode.RGB, device=self.device)
        return decoded

    def _fit(self, picture: torch.Tensor, header: PlainJpeg) -> torch.Tensor:
        """Turn a picture upright, resize it, and crop or pad it to ``[S, S, 3]``."""
        turned = torch.rot90(picture, _TURNS.get(header.orientation, 0), (1, 2))
        upright = turned.flip(2) if header.orientation in _MIRRORED else turned
        height, width = upright.shape[1:]
        wanted = self.preprocess
        (across, down), (left, top) = layout(width, height, wanted)
        # As Pillow does: across, then down, rounded in between. Where pixels overshoot, that is up to ten grey levels.
        for size in ((height, across), (down, across)):
            if size != upright.shape[1:]:
                resized = torch.nn.functional.interpolate(
                    upright[None].float(), size, mode=wanted.interpolation, antialias=True
                )
                upright = resized[0].round_().clamp_(0, 255).byte()
        side = wanted.image_size
        if wanted.resize_mode == "longest":
            padded = torch.full((3, side, side), wanted.fill_color, dtype=torch.uint8, device=self.device)
            padded[:, -top : down - top, -left : across - left] = upright
            return padded.permute(1, 2, 0)
        return upright[:, top : top + side, left : left + side].permute(1, 2, 0)
