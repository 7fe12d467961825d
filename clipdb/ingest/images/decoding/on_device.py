"""Decodes batches of images where plain JPEGs are a GPU's work, and all others that of a `DecodePool`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

import numpy as np
import torch

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.images.decoding.worker_process import try_decode
from clipdb.ingest.images.decoding.workers import DecodedBatch, DecodePool
from clipdb.models.device_jpeg import DeviceJpegs, PlainJpeg, plain_jpeg
from clipdb.models.loading import out_of_memory
from clipdb.models.pixels import upright_size
from clipdb.models.preprocess import ImageFacts

COMPARED = 32
"""How many of the first pictures are decoded by Pillow, too."""
MOST = 1.0
"""How far the device's pixels may be from Pillow's on average, in grey levels of 255."""


class DeviceDecoders:
    """Decode as a `DecodePool` does, on a device where that can be.

    The first pictures are decoded by Pillow, too. The device's must be within `MOST` of those on average, and how far
    they are is noted.

    Parameters
    ----------
    pool
        Decodes what the device doesn't; closed with this.
    jpegs
        The device.
    """

    def __init__(self, pool: DecodePool, jpegs: DeviceJpegs) -> None:
        self._pool, self._jpegs = pool, jpegs
        self._compared = False
        self._thread = ThreadPoolExecutor(1, "clipdb-gpu-decoder")

    def submit(self, images: Sequence[bytes]) -> Future[DecodedBatch]:
        """Decode a batch in the background; its pixels are on the device.

        Raises
        ------
        ClipdbError
            From the future: if the device's pixels aren't Pillow's, or its memory is short.
        """
        headers = [plain_jpeg(data) for data in images]
        others = self._pool.submit([data for data, header in zip(images, headers, strict=True) if header is None])
        return self._thread.submit(self._decode, list(images), headers, others)

    def close(self) -> None:
        """Stop, and cancel what isn't decoded."""
        self._pool.close()
        self._thread.shutdown(cancel_futures=True)

    def __enter__(self) -> DeviceDecoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(
        self, images: list[bytes], headers: list[PlainJpeg | None], others: Future[DecodedBatch]
    ) -> DecodedBatch:
        plain = {row: header for row, header in enumerate(headers) if header is not None}
        facts: dict[int, ImageFacts | str] = {row: _facts(header) for row, header in plain.items()}
        with out_of_memory(len(images)):
            decoded = self._jpegs([images[row] for row in plain], list(plain.values()))
            pixels = {row: one for row, one in zip(plain, decoded, strict=True) if one is not None}
            self._compare([(images[row], one) for row, one in pixels.items()])
            rest = [row for row in range(len(images)) if row not in plain]
            damaged = [row for row in plain if row not in pixels]
            for rows, batch in ((rest, others), (damaged, self._pool.submit([images[row] for row in damaged]))):
                facts |= dict(zip(rows, batch.result().decoded, strict=True))
                good = [row for row in rows if not isinstance(facts[row], str)]
                moved = torch.from_numpy(batch.result().pixels).to(self._jpegs.device)
                pixels |= dict(zip(good, moved, strict=True))
            shape = (len(pixels), *self._jpegs.preprocess.shape)
            whole = torch.empty(shape, dtype=torch.uint8, device=self._jpegs.device)
            for place, row in enumerate(sorted(pixels)):
                whole[place] = pixels[row]
        return DecodedBatch(whole, [facts[row] for row in range(len(images))])

    def _compare(self, decoded: Sequence[tuple[bytes, torch.Tensor]]) -> None:
        """Compare the first pictures with Pillow's, once."""
        if self._compared:
            return
        exact = replace(self._jpegs.preprocess, draft=False)
        errors = [
            np.abs(np.frombuffer(pillows, np.uint8) - pixels.cpu().numpy().ravel().astype(float))
            for data, pixels in decoded[:COMPARED]
            if (pillows := try_decode(data, exact)[1]) is not None
        ]
        if not errors:
            return
        mean, most = np.mean(errors), np.max(errors)
        told = f"{mean:.2f} grey levels from Pillow's on average, {most:.0f} at most"
        if mean > MOST:
            raise ClipdbError(f"--gpu-decode: pixels are {told}: more than {MOST:g} on average, so leave it out")
        note(f"note: pixels that {self._jpegs.device} decodes are {told}, in the first {len(errors)} images")
        self._compared = True


def _facts(header: PlainJpeg) -> ImageFacts:
    return ImageFacts(*upright_size(header.orientation, (header.width, header.height)), "JPEG")
