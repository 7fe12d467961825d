"""`clipdb.ablate`: accuracy without heads, by their contributions and with the model run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipdb._util.notes import note
from clipdb._util.text import counted
from clipdb.api.ablation_sets import COLUMNS as COLUMNS
from clipdb.errors import ClipdbError, require, stopped

if TYPE_CHECKING:
    from clipdb.api.ablation_sets import Row
    from clipdb.queries.index import Index


@dataclass(frozen=True, eq=False, repr=False)
class Ablation:
    """Zero-shot accuracy without heads.

    Attributes
    ----------
    model
        The model.
    rows
        One row per set of heads and part of the images; its columns are `COLUMNS`. ``part`` is ``all``, ``class``,
        ``group`` where groups are asked for, or ``worst group``, the group or else the class of the lowest accuracy
        (``A -> B`` where it is another one without the heads).
        ``before`` is the accuracy with all heads, ``direct`` without the heads' own contributions, ``causal`` of the
        model run without the heads, and ``difference`` causal less direct. ``causal_low`` and ``causal_high`` are the
        95 % Wilson interval; those of the difference are a 95 % percentile bootstrap over images, which have both.
        ``control_direct`` and ``control_causal`` are means over random sets of as many heads, ``control_low`` and
        ``control_high`` the lowest and the highest causal accuracy among them.
    images
        Over how many images.
    unread
        How many images were left out since their files are gone, changed or damaged.
    known
        How many of the sets the index had from before, so that they weren't computed again.
    """

    model: str
    rows: Sequence[Row]
    images: int
    unread: int
    known: int = 0

    def __repr__(self) -> str:
        return f"Ablation({self.model}: {len(self.rows)} rows, {self.images} images)"


def ablate(
    index: Index,
    *,
    heads: Sequence[str] = (),
    property: str | None = None,
    layers: str | None = None,
    labeller: str | None = None,
    each: bool = False,
    mode: Literal["mean", "zero"] = "mean",
    mean: Literal["token", "global"] = "token",
    at: Literal["all", "class-token"] = "all",
    target: str = "label",
    template: str = "a photo of a {}",
    templates: str | Path | None = None,
    groups: str | None = None,
    ccs: str | None = None,
    judge: str | None = None,
    images: int | None = None,
    control: int = 5,
    seed: int = 0,
    model: str | None = None,
) -> Ablation:
    """Classify images with the model run again without some heads, and say what their contributions alone would tell.

    The output of a head is its slice of what goes into the output projection, whose bias stays. It is replaced in the
    forward pass, and all that follows is computed anew: the causal effect. The direct effect takes the head's stored
    contribution off the embedding (Gandelsman et al., arXiv 2310.05916, section 3.2), as the query `ablate` does.

    Each set's rows go into the relation ``effects`` as soon as they are computed, in the place of older ones of the
    same set and task, but for those over more images. Where they are there already, of the same images and seed, they
    are read and not computed again. Of an export, an index that can't be written and one that somebody else writes
    nothing is kept: a note says so.

    Parameters
    ----------
    index
        What `clipdb.open` gives.
    heads, property, layers, labeller
        The set: heads that meet all the conditions given, of the trunk.
    ccs, judge
        More of them: heads of ``high``, ``moderate`` or ``low`` CCS (arXiv 2503.11103), by whose verdicts.
    each
        Take these heads, or all of the trunk, one by one. Each has the others to compare with, so no random heads
        are drawn.
    mode
        ``mean`` replaces a head's output by its mean over the images that are classified, ``zero`` by nothing.
    mean
        ``token``: a mean for each token's place; ``global``: one over all tokens.
    at
        ``all`` tokens, or the ``class-token``.
    target, template
        What is classified: ``label`` or a key of the images' metadata; and the text of a class.
    templates
        In its place a file with a template a line, or ``openai``: a class is then the mean of its texts.
    groups
        More keys, with commas: groups are combinations of class and their values. Images that lack one are left out.
    images
        Take the first so many images by id, which is a random order; all if None.
    control
        How many random sets of as many heads to compare with.
    seed
        Decides the random sets and the bootstrap.
    model
        The model; not needed where the index has one.

    Raises
    ------
    ClipdbError
        If something asked for isn't in the index, no head is chosen, images have fewer than two classes, none of their
        files can be read, or the weights can't be had or are others.

    Examples
    --------
    Images need a class to be sorted into, a label or a key of their metadata:

    >>> with clipdb.open("mine.clipdb") as db:
    ...     clipdb.ablate(db, heads=["L4.H1"])
    Traceback (most recent call last):
    clipdb.errors.ClipdbError: no image has a class label: run ...
    """
    from clipdb.api.ablation_sets import choose_sets
    from clipdb.queries.functions.base.ablation import have_vectors, require_means
    from clipdb.queries.functions.base.classification import group_keys, note_weak, read_task
    from clipdb.queries.templates import read_templates

    context = index.context
    model = context.model(model)
    template = template if templates is None else read_templates(str(templates))
    for name, value, known in (
        ("mode", mode, ("mean", "zero")),
        ("mean", mean, ("token", "global")),
        ("at", at, ("all", "class-token")),
    ):
        if value not in known:
            raise ClipdbError(f"{name} is {value!r}: it is one of {', '.join(known)}")
    if control < 0:
        raise ClipdbError(f"control is {control}: 0 or more random sets can be drawn")
    if images is not None and images < 1:
        raise ClipdbError(f"images is {images}: at least 1 must be classified")
    conditions = {"properties": property, "layers": layers, "labeller": labeller, "ccs": ccs, "judge": judge}
    units = choose_sets(context, model, heads, conditions, each, control, seed)
    involved = sorted({head for unit in units for one in unit for head in one})
    if mode == "mean":
        require_means(context, model, involved)
    for module in ("torch", "open_clip", "clipdb.models.ablation"):
        require(module, "ingest")
    usable = have_vectors(context, model, involved)
    task = read_task(context, model, target, template, groups, usable)
    if left_out := int(usable.sum()) - len(task.rows):
        also = f" or no {groups}" if groups else ""
        note(f"note: {left_out} of {int(usable.sum())} images have no {target}{also} and are left out")
    from clipdb._util.apart import apart
    from clipdb.api.ablation_runs import Measuring, Replacement
    from clipdb.api.ablation_sets import set_name, tabulate
    from clipdb.api.kept_effects import KeptEffects, keeping

    how = Replacement(mode == "mean", mean == "token", at == "class-token")
    way = {"mode": mode, "mean": mean if mode == "mean" else "none", "tokens": at}
    what = " x ".join([target, *group_keys(groups)])
    asked = {"model_id": model, "target": what, "template": template, **way, "property": property, "seed": seed}
    arguments = asked | {"heads": list(heads), "layers": layers, "labeller": labeller, "each": each, "images": images}
    arguments |= {"ccs": ccs, "judge": judge}
    with keeping(index, arguments | {"control": control}) as writer:
        measuring = apart(lambda: Measuring(context, task, how, images))
        effects = writer and KeptEffects(writer, asked | {"images_sha256": measuring.images_sha256()})
        before = effects.known(None if each else control) if effects else {}
        names = [set_name(unit[0]) for unit in units]
        found = {name: before[name] for name in names if name in before}
        if writer:
            writer.skipped = len(found)
        if found:
            kept = f"{len(found)} of {len(names)} heads were" if each else "this set was"
            note(f"{kept} measured before: not computed again", warns=False)
        larger = effects.measured_over_more(len(measuring.task.rows)) if effects else set()
        if larger := larger & set(names) - found.keys():
            note(f"{len(larger)} of {len(names)} sets stay as they were measured over more images: this isn't kept")
        lacking = [unit for name, unit in zip(names, units, strict=True) if name not in found]
        results = measuring.measure(lacking)
        with stopped(lambda: f"{counted(writer.added, 'set')} of heads kept" if writer and writer.added else ""):
            for unit in lacking:
                rows = tabulate(apart(lambda: next(results)), unit, seed, groups is not None)
                if effects and set_name(unit[0]) not in larger:
                    effects.keep(rows, len(unit) - 1)
                found[set_name(unit[0])] = rows
    note_weak(measuring.task, float(str(found[names[0]][0][COLUMNS.index("before")])))
    shown = [row for name in names for row in found[name] if not each or row[1] not in ("class", "group")]
    return Ablation(model, shown, len(measuring.task.rows), measuring.unread, len(before.keys() & set(names)))
