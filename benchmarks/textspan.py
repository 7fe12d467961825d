"""TEXTSPAN from moments against the published procedure, 20 spans, with identical picks.

    python benchmarks/textspan.py

The published procedure (algorithm 1 of Gandelsman et al., arXiv 2310.05916) projects all images on all descriptions for
every pick. It is written out plainly here, at the rank of the head, so both do the same work on the same numbers.
"""

from __future__ import annotations

import argparse

import numpy as np
from measure import alternate, report

from clipdb._util.textspan import textspan
from clipdb.ingest.store.moments import Moments


def published(vectors: np.ndarray, pool: np.ndarray, count: int) -> list[int]:
    """Pick descriptions by the std of projections over all images, then project the pick out of images and pool."""
    data = vectors - vectors.mean(axis=0)
    texts = pool.copy()
    picks = []
    for _ in range(count):
        pick = int((data @ texts.T).std(axis=0).argmax())
        picks.append(pick)
        direction = texts[pick] / np.linalg.norm(texts[pick])
        data = data - np.outer(data @ direction, direction)
        texts = texts - np.outer(texts @ direction, direction)
    return picks


def from_moments(vectors: np.ndarray, pool: np.ndarray, count: int) -> list[int]:
    """Do as clipdb does, from vectors to picks."""
    return [int(row) for row in textspan(Moments.of(vectors).covariance, pool, count).rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--texts", type=int, default=3_500)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--spans", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    random = np.random.default_rng(0)
    strength = np.geomspace(1.0, 0.03, options.rank)  # heads' spectra fall off about so
    # As they are stored: float16. Both sides start from the same numbers.
    vectors = (random.standard_normal((options.images, options.rank)) * strength).astype(np.float16)
    pool = random.standard_normal((options.texts, options.rank)) * 512**-0.5
    single = vectors.astype(np.float32), pool.astype(np.float32)

    picks = from_moments(vectors, pool, options.spans)
    assert picks == published(vectors.astype(np.float64), pool, options.spans), "picks differ"
    timing = alternate(
        lambda: published(*single, options.spans),
        lambda: from_moments(vectors, pool, options.spans),
        options.repeats,
    )
    base, candidate = (sorted(times)[len(times) // 2] for times in (timing.baseline, timing.candidate))
    report(
        f"TEXTSPAN, {options.spans} of {options.texts:,} on {options.images:,} images: times faster than published",
        1 / timing.ratio,
        least=100,
        detail=f"pairs {1 / timing.ratios[-1]:.0f} to {1 / timing.ratios[0]:.0f}; {candidate * 1e3:.0f} ms against "
        f"{base:.2f} s in float32; identical picks",
    )


if __name__ == "__main__":
    main()
