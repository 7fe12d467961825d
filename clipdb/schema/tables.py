"""The relations of an index: the one source of the DDL, the catalog's comments and the data dictionary.

Primary keys are what identifies a row. For large tables and those whose rows are rewritten DuckDB doesn't enforce them
(``indexed=False``): its index would make the catalog twice as big and a commit many times slower, and keep the room of
rows that are gone. One process writes at a time and compares keys; imports and ``clipdb verify`` check them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, TIMESTAMP, BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

from clipdb.schema.columns import (
    aligner,
    basis,
    error,
    head,
    key,
    layer,
    may,
    model,
    need,
    prompt,
    run,
    run_key,
    similarity,
    size,
    statistics,
)
from clipdb.schema.names import HEAD_NAME, PARTITION

metadata = MetaData()

_INSTANT = TIMESTAMP(timezone=True)


def _table(name: str, comment: str, *declared: Column[Any], indexed: bool = True, view: str | None = None) -> Table:
    """Declare a table, or a view with the columns of one: ``view`` is its SQL."""
    return Table(name, metadata, *declared, comment=comment, info={"indexed": indexed, "view": view})


clipdb_schema = _table(
    "clipdb_schema",
    "A schema version that this catalog has had; the highest is the current one.",
    key("version", Integer, "Schema version, counted from 1"),
    need("clipdb_version", Text, "Version of clipdb that brought the catalog to this schema version"),
    need("upgraded_at", _INSTANT, "When the catalog reached this version (UTC)"),
)

models = _table(
    "models",
    "A model with weights whose heads are in this index.",
    model(),
    need("layers", Integer, "Transformer layers of the image tower, L; 0 where it is convolutional"),
    need("heads", Integer, "Attention heads a layer, H; 0 where there are no layers"),
    need("head_dim", Integer, "Size of a head's output, k (width / heads); 0 where there are no layers"),
    need("width", Integer, "Width of the residual stream, d"),
    need("embed_dim", Integer, "Size of the joint image-text embedding, D"),
    may("patch_size", Integer, "Side of a square patch, pixels; null where the tower has no square patches"),
    need("image_size", Integer, "Side of the square input image, pixels"),
    may("pooling", Text, "How the tower pools its tokens: 'tok' takes the class token, 'avg' the mean, or 'attention'"),
    may("adapter", Text, "Adapter of clipdb that captured the heads"),
    may("preprocess", JSON, "Resizing and normalisation of the input image, in open_clip's terms"),
    may("weights_sha256", Text, "Hex SHA-256 of the weights file, as the Hub shows it and sha256sum prints it"),
    may("logit_scale", Double, "Factor of the cosine in the logits (exponentiated); null without a text tower"),
    may(
        "reconstruction_error",
        Double,
        "Largest L2 error of the summed components against encode_image on the first batch, "
        "as a fraction of the embedding's norm",
    ),
    may(
        "tensors_sha256",
        Text,
        "Hex SHA-256 of the tensors in the weights file, the same for the same tensors in another kind of file; "
        "ingest refuses other tensors under this name",
    ),
    may("config", JSON, "The architecture, as open_clip or transformers describe it; null where open_clip ships it"),
    may("base", Text, "Model that this one was fine-tuned from, as --base says; null where nobody said"),
    may("pool_heads", Integer, "Heads of the attention pooling, P.H0 on; null where the pooling is no attention"),
    may(
        "logit_bias",
        Double,
        "What is added to the scaled cosine, whose sigmoid is then the model's score (SigLIP); null where scores are a "
        "softmax over texts",
    ),
)

# Bases are large and never change, statistics change with every ingest: apart, so that no ingest writes bases again.
bases = _table(
    "bases",
    "The basis of a head's vectors. Written once, when the head is first ingested or imported.",
    model(),
    layer(),
    head(),
    basis(),
    size(),
)

head_statistics = _table(
    "head_statistics",
    "A head, with the statistics of its vectors; they are null for a head known by name only.",
    model(),
    layer(),
    head(),
    *statistics(),
    indexed=False,
)

heads = _table(
    "heads",
    "An attention head that was ingested or imported: head_statistics and bases, joined by a view.",
    model(),
    layer(),
    head(),
    need("name", Text, "The head as people write it: L11.H3, or P.H3 of an attention pooling"),
    need(
        "partition",
        Text,
        "trunk or pool: the heads of each, with a rest, add up to the embedding, so those of both are never summed",
    ),
    basis(),
    size(),
    *statistics(),
    view=f"select model_id, layer, head, {HEAD_NAME} as name, {PARTITION} as partition, basis, size, mean, "
    "total_variance, effective_rank from head_statistics left join bases using (model_id, layer, head)",
)

aligners = _table(
    "aligners",
    "How a CLIP model's texts t reach a model without a text tower: as W t. r2 says how well they fit there.",
    model(),
    *aligner(),
    run(),
)

head_pairs = _table(
    "head_pairs",
    "Two heads compared over the same images, of one model or of two: what `clipdb span` computed (arXiv 1905.00414).",
    model(),
    layer(),
    head(),
    key("other_model", Text, "Model of the other head"),
    key("other_layer", Integer, "Layer of the other head"),
    key("other_head", Integer, "The other head within its layer"),
    *similarity(),
    need("images", BigInteger, "Over how many images: the first by id that have vectors of both"),
    need("sample", BigInteger, "Over how many images at most"),
    need("vectors", Text, "State of both models' vectors that this was computed from; of another state it is stale"),
    run(),
    indexed=False,
)

images = _table(
    "images",
    "An image, known by its content: the same bytes under two names are one row.",
    key("image_id", Text, "Hex SHA-256 of the file's bytes"),
    need("uri", Text, "Where the image was found: a path, or an archive and the member in it"),
    may("width", Integer, "Width as displayed (after EXIF rotation), pixels"),
    may("height", Integer, "Height as displayed (after EXIF rotation), pixels"),
    may("format", Text, "File format as decoded: JPEG, PNG, ..."),
    may("split", Text, "Split of the data set, where the source or --split says it"),
    may("label", Text, "Label of the image, where the source or --label-from says it"),
    may("metadata", JSON, "What else the source says of the image; null where nothing"),
    indexed=False,
)

image_failures = _table(
    "image_failures",
    "A file that could not be read as an image. It is tried again on the next ingest.",
    key("uri", Text, "Where the file was found"),
    need("error", Text, "Why it could not be read, in one line"),
    run(),
    indexed=False,
)

texts = _table(
    "texts",
    "A text that was embedded, known by its content.",
    key("text_id", Text, "Hex SHA-256 of the text in UTF-8"),
    need("text", Text, "The text"),
)

pools = _table(
    "pools",
    "A named set of descriptions.",
    key("pool", Text, "Short name, as commands take it: general"),
    may("name", Text, "Title for people"),
    may("source", Text, "Where the descriptions come from"),
    may("licence", Text, "Licence of the descriptions"),
)

pool_texts = _table(
    "pool_texts",
    "A text's place in a pool.",
    key("pool", Text, "Pool (pools.pool)"),
    key("text_id", Text, "Text (texts.text_id)"),
    need("position", Integer, "Place in the pool, counted from 0; breaks ties between spans"),
    may("property", Text, "Property that the description names; null where the pool does not say"),
    indexed=False,
)

spans = _table(
    "spans",
    "A description that TEXTSPAN picked for a head (Gandelsman et al., arXiv 2310.05916, section 4.1).",
    model(),
    layer(),
    head(),
    key("pool", Text, "Pool that the description was picked from (pools.pool)"),
    key("rank", Integer, "Order of the pick, counted from 1"),
    need("text_id", Text, "The description (texts.text_id)"),
    need("text", Text, "The description itself"),
    may("variance_explained", Double, "Variance of the head that this pick explains, fraction 0..1"),
    may("cumulative_variance", Double, "Variance that the picks up to this one explain, fraction 0..1"),
    run(),
    indexed=False,
)

labels = _table(
    "labels",
    "One naming of a head by one labeller; head_properties has the current name.",
    model(),
    layer(),
    head(),
    key("pool", Text, "Pool whose spans or descriptions the labeller saw (pools.pool)"),
    key("labeller", Text, "Who named it: zero-shot, vote, llm:MODEL, human:NAME or import:SOURCE"),
    run_key(),
    may("property", Text, "The property as the labeller wrote it; null where it found none that fits"),
    may("confidence", Double, "The labeller's confidence, 0..1, or null; of zero-shot and vote a share of variance"),
    may("rationale", Text, "The labeller's reason; null where it gave none"),
    prompt(),
    may("examples_sha256", Text, "Hex SHA-256 of the examples in the prompt; null where none were sent"),
    need("status", Text, "ok, error (no answer that holds) or rejected (a person says that the property is wrong)"),
    error(),
    need("created_at", _INSTANT, "When the label was given (UTC)"),
)

label_scores = _table(
    "label_scores",
    "How much of a head's variance goes with a property: what the labeller zero-shot compared (docs/labels.md).",
    model(),
    layer(),
    head(),
    key("pool", Text, "Pool whose properties were compared (pools.pool)"),
    key("labeller", Text, "Labeller that compared them: zero-shot"),
    run_key(),
    key("property", Text, "The property, as the pool writes it first"),
    need(
        "share",
        Double,
        "Share of the head's variance that lies between images nearest to different descriptions of "
        "the property: eta squared, adjusted for their number. At most 1; 0 on average where groups are random",
    ),
    may("chance", Double, "The share that 1 in 20 permutations of the images would exceed; null under 4 images"),
)

judgements = _table(
    "judgements",
    "One judge's verdict on whether a description fits a head's property.",
    model(),
    layer(),
    head(),
    key("text_id", Text, "The description judged (texts.text_id)"),
    key("property", Text, "The property it was judged against"),
    key("judge", Text, "Who judged: vote, llm:MODEL, human:NAME or import:SOURCE"),
    run_key(),
    may("verdict", Boolean, "true: it fits, false: it does not, null: no answer to that"),
    need("status", Text, "ok, rejected (an answer that does not hold) or error (no answer)"),
    error(),
    prompt(),
)

runs = _table(
    "runs",
    "A command that wrote to the index.",
    key("run", Text, "Id that sorts by time: YYYYMMDDTHHMMSSffffff-xxxx, UTC and four hex digits"),
    need("command", Text, "The command: ingest images, span, label, ..."),
    may("arguments", JSON, "Arguments of the command, by name"),
    may("versions", JSON, "Versions of clipdb and of the libraries that computed, by name"),
    may("device", Text, "cpu or the accelerator's name; null where no device computed"),
    need("started_at", _INSTANT, "When the command started (UTC)"),
    may("finished_at", _INSTANT, "When it finished (UTC); null while it runs and after it was killed"),
    may("added", BigInteger, "Items added"),
    may("skipped", BigInteger, "Items that were already there"),
    may("failed", BigInteger, "Items that failed"),
    indexed=False,
)

batches = _table(
    "batches",
    "A committed batch of vectors. Rows of a Lance table that no batch here vouches for are not read.",
    model(),
    key("kind", Text, "Which vectors: images or texts"),
    run_key(),
    key("batch", Integer, "Batch within the run, counted from 0"),
    need("lance_version", BigInteger, "Version of the Lance table with the batch; readers open the highest"),
    need("added", BigInteger, "Rows that the batch added"),
    need("committed_at", _INSTANT, "When the batch was committed (UTC)"),
)
