"""The model card's tables, from an evaluation."""

from __future__ import annotations

from collections.abc import Iterable

from clipdb.demo.scenes import VALUES

from .evaluate import Evaluation


def tables(evaluation: Evaluation) -> str:
    """Write an evaluation as the Markdown that stands in `docs/demo-model.md`."""
    heads = [
        (
            head.name,
            f"{head.spans_property} ({head.spans_share:.2f})",
            f"{head.scenes_property} ({head.scenes_share:.2f})",
            "yes" if head.spans_property == head.scenes_property else "no",
        )
        for head in evaluation.heads
    ]
    neighbours = [
        (name, found.head, f"{found.precision:.2f}", f"{found.base_rate:.2f}")
        for name, found in evaluation.neighbours.items()
    ]
    return "\n".join(
        [
            f"Measured on {evaluation.scenes} held-out scenes (seed {evaluation.seed}).",
            "",
            accuracy_table(evaluation),
            "",
            f"Mean over the properties: {evaluation.mean_zero_shot:.3f}. A caption of all eight properties finds its "
            f"scene first among {evaluation.captions}: {evaluation.caption_recall_at_1:.3f}.",
            "",
            f"Heads of the last four layers whose two properties agree: {evaluation.agreeing_heads} of "
            f"{len(evaluation.heads)}.",
            "",
            *_table(("head", "by its spans (share)", "by the scenes (share)", "agree"), heads),
            "",
            *_table(("property", "head", "precision of 8 neighbours", "by chance"), neighbours),
        ]
    )


def accuracy_table(evaluation: Evaluation) -> str:
    """Write what it tells of each property as a Markdown table."""
    accuracy = [(name, len(VALUES[name]), f"{share:.3f}") for name, share in evaluation.zero_shot.items()]
    return "\n".join(_table(("property", "values", "zero-shot accuracy"), accuracy))


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [header, tuple("---" for _ in header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
