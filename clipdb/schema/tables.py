"""The relations of an index: the one source of the DDL, the catalog's comments and the data dictionary.

Primary keys are what identifies a row. For large tables and those whose rows are rewritten DuckDB doesn't enforce them
(``indexed=False``): its index would make the catalog twice as big and a commit many times slower, and keep the room of
rows that are gone. One process writes at a time and compares keys; imports and ``clipdb verify`` check them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, JSON, REAL, TIMESTAMP, BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

metadata = MetaData()

_INSTANT = TIMESTAMP(timezone=True)


def _key(name: str, kind: Any, comment: str) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def _need(name: str, kind: Any, comment: str) -> Column[Any]:
    return Column(name, kind, nullable=False, comment=comment)


def _may(name: str, kind: Any, comment: str) -> Column[Any]:
    return Column(name, kind, nullable=True, comment=comment)


def _table(name: str, comment: str, *columns: Column[Any], indexed: bool = True, view: str | None = None) -> Table:
    """Declare a table, or a view with the columns of one: ``view`` is its SQL."""
    return Table(name, metadata, *columns, comment=comment, info={"indexed": indexed, "view": view})


def _basis() -> Column[Any]:
    return _may(
        "basis",
        ARRAY(REAL),
        "Q, orthonormal columns (zero in null directions), flattened row-major, shape [embed_dim, head_dim]: "
        "a head vector y stands for the contribution Q y in joint space, relative to the embedding's norm",
    )


def _statistics() -> list[Column[Any]]:
    return [
        _may("mean", ARRAY(REAL), "Mean of the head's vectors over the model's images, shape [head_dim]"),
        _may("total_variance", Double, "Trace of the covariance of the head's vectors over the model's images"),
        _may("effective_rank", Double, "exp(entropy of the covariance's normalised eigenvalues), 1..head_dim"),
    ]


def _model() -> Column[Any]:
    return _key("model_id", Text, "Model with weights: ARCH/PRETRAINED, as open_clip names them")


def _layer() -> Column[Any]:
    return _key("layer", Integer, "Layer of the image tower, counted from 0")


def _head() -> Column[Any]:
    return _key("head", Integer, "Head within its layer, counted from 0")


def _run() -> Column[Any]:
    return _need("run", Text, "Run that wrote the row (runs.run)")


def _run_key() -> Column[Any]:
    return _key("run", Text, "Run that wrote the row (runs.run); run ids sort by time")


def _error() -> Column[Any]:
    return _may("error", Text, "What went wrong, in one line; null where status is ok")


def _prompt() -> Column[Any]:
    return _may("prompt_sha256", Text, "Hex SHA-256 of the prompt; null where none was sent")


clipdb_schema = _table(
    "clipdb_schema",
    "A schema version that this catalog has had; the highest is the current one.",
    _key("version", Integer, "Schema version, counted from 1"),
    _need("clipdb_version", Text, "Version of clipdb that brought the catalog to this schema version"),
    _need("upgraded_at", _INSTANT, "When the catalog reached this version (UTC)"),
)

models = _table(
    "models",
    "A model with weights whose heads are in this index.",
    _model(),
    _need("layers", Integer, "Transformer layers of the image tower, L"),
    _need("heads", Integer, "Attention heads a layer, H"),
    _need("head_dim", Integer, "Size of a head's output, k (width / heads)"),
    _need("width", Integer, "Width of the residual stream, d"),
    _need("embed_dim", Integer, "Size of the joint image-text embedding, D"),
    _may("patch_size", Integer, "Side of a square patch, pixels; null where the tower has no square patches"),
    _need("image_size", Integer, "Side of the square input image, pixels"),
    _may("pooling", Text, "How the tower pools its tokens: 'tok' is the class token"),
    _may("adapter", Text, "Adapter of clipdb that captured the heads"),
    _may("preprocess", JSON, "Resizing and normalisation of the input image, as open_clip configures them"),
    _may("weights_sha256", Text, "Hex SHA-256 of the weights file, as the Hub shows it and sha256sum prints it"),
    _may("logit_scale", Double, "Factor of the cosine in the model's logits (exponentiated)"),
    _may(
        "reconstruction_error",
        Double,
        "Largest L2 error of the summed components against encode_image on the first batch, "
        "as a fraction of the embedding's norm",
    ),
    _may(
        "tensors_sha256",
        Text,
        "Hex SHA-256 of the tensors in the weights file, the same for the same tensors in another kind of file; "
        "ingest refuses other tensors under this name",
    ),
    _may("config", JSON, "open_clip's configuration of the architecture, if open_clip doesn't ship it; else null"),
    _may("base", Text, "Model that this one was fine-tuned from, as --base says; null where nobody said"),
)

# Bases are large and never change, statistics change with every ingest: apart, so that no ingest writes bases again.
bases = _table(
    "bases",
    "The basis of a head's vectors. Written once, when the head is first ingested or imported.",
    _model(),
    _layer(),
    _head(),
    _basis(),
)

head_statistics = _table(
    "head_statistics",
    "A head, with the statistics of its vectors; they are null for a head known by name only.",
    _model(),
    _layer(),
    _head(),
    *_statistics(),
    indexed=False,
)

heads = _table(
    "heads",
    "An attention head that was ingested or imported: head_statistics and bases, joined by a view.",
    _model(),
    _layer(),
    _head(),
    _need("name", Text, "The head as people write it: L11.H3"),
    _basis(),
    *_statistics(),
    view="select model_id, layer, head, concat('L', layer, '.H', head) as name, basis, mean, total_variance, "
    "effective_rank from head_statistics left join bases using (model_id, layer, head)",
)

head_pairs = _table(
    "head_pairs",
    "Two heads compared over the same images, of one model or of two: what `clipdb span` computed (arXiv 1905.00414).",
    _model(),
    _layer(),
    _head(),
    _key("other_model", Text, "Model of the other head"),
    _key("other_layer", Integer, "Layer of the other head"),
    _key("other_head", Integer, "The other head within its layer"),
    _may("overlap", Double, "||Q1^T Q2||^2 / rank of what both can write, 0..1; null if in different joint spaces"),
    _may("cka", Double, "Linear CKA of their vectors, 0..1; null under 2 shared images or where one does not vary"),
    _may("explained", Double, "Share of the head's variance that is linear in the other's vectors, adjusted R^2"),
    _may("explained_other", Double, "Share of the other's variance that is linear in the head's vectors, likewise"),
    _may(
        "distance",
        Double,
        "Mean squared distance of their contributions, each about its mean, as a share of the sum of their variances: "
        "0 the same, 1 uncorrelated, 2 opposite; null if in different joint spaces",
    ),
    _need("images", BigInteger, "Over how many images: the first by id that have vectors of both"),
    _need("sample", BigInteger, "Over how many images at most"),
    _need("vectors", Text, "State of both models' vectors that this was computed from; of another state it is stale"),
    _run(),
    indexed=False,
)

images = _table(
    "images",
    "An image, known by its content: the same bytes under two names are one row.",
    _key("image_id", Text, "Hex SHA-256 of the file's bytes"),
    _need("uri", Text, "Where the image was found: a path, or an archive and the member in it"),
    _may("width", Integer, "Width as displayed (after EXIF rotation), pixels"),
    _may("height", Integer, "Height as displayed (after EXIF rotation), pixels"),
    _may("format", Text, "File format as decoded: JPEG, PNG, ..."),
    _may("split", Text, "Split of the data set, where the source or --split says it"),
    _may("label", Text, "Label of the image, where the source or --label-from says it"),
    _may("metadata", JSON, "What else the source says of the image; null where nothing"),
    indexed=False,
)

image_failures = _table(
    "image_failures",
    "A file that could not be read as an image. It is tried again on the next ingest.",
    _key("uri", Text, "Where the file was found"),
    _need("error", Text, "Why it could not be read, in one line"),
    _run(),
    indexed=False,
)

texts = _table(
    "texts",
    "A text that was embedded, known by its content.",
    _key("text_id", Text, "Hex SHA-256 of the text in UTF-8"),
    _need("text", Text, "The text"),
)

pools = _table(
    "pools",
    "A named set of descriptions.",
    _key("pool", Text, "Short name, as commands take it: general"),
    _may("name", Text, "Title for people"),
    _may("source", Text, "Where the descriptions come from"),
    _may("licence", Text, "Licence of the descriptions"),
)

pool_texts = _table(
    "pool_texts",
    "A text's place in a pool.",
    _key("pool", Text, "Pool (pools.pool)"),
    _key("text_id", Text, "Text (texts.text_id)"),
    _need("position", Integer, "Place in the pool, counted from 0; breaks ties between spans"),
    _may("property", Text, "Property that the description names; null where the pool does not say"),
    indexed=False,
)

spans = _table(
    "spans",
    "A description that TEXTSPAN picked for a head (Gandelsman et al., arXiv 2310.05916, section 4.1).",
    _model(),
    _layer(),
    _head(),
    _key("pool", Text, "Pool that the description was picked from (pools.pool)"),
    _key("rank", Integer, "Order of the pick, counted from 1"),
    _need("text_id", Text, "The description (texts.text_id)"),
    _need("text", Text, "The description itself"),
    _may("variance_explained", Double, "Variance of the head that this pick explains, fraction 0..1"),
    _may("cumulative_variance", Double, "Variance that the picks up to this one explain, fraction 0..1"),
    _run(),
    indexed=False,
)

labels = _table(
    "labels",
    "One naming of a head by one labeller; head_properties has the current name.",
    _model(),
    _layer(),
    _head(),
    _key("pool", Text, "Pool whose spans or descriptions the labeller saw (pools.pool)"),
    _key("labeller", Text, "Who named it: zero-shot, vote, llm:MODEL, human:NAME or import:SOURCE"),
    _run_key(),
    _may("property", Text, "The property as the labeller wrote it; null where it found none that fits"),
    _may("confidence", Double, "The labeller's confidence, 0..1, or null; of zero-shot and vote a share of variance"),
    _may("rationale", Text, "The labeller's reason; null where it gave none"),
    _prompt(),
    _may("examples_sha256", Text, "Hex SHA-256 of the examples in the prompt; null where none were sent"),
    _need("status", Text, "ok, error (no answer that holds) or rejected (a person says that the property is wrong)"),
    _error(),
    _need("created_at", _INSTANT, "When the label was given (UTC)"),
)

label_scores = _table(
    "label_scores",
    "How much of a head's variance goes with a property: what the labeller zero-shot compared (docs/labels.md).",
    _model(),
    _layer(),
    _head(),
    _key("pool", Text, "Pool whose properties were compared (pools.pool)"),
    _key("labeller", Text, "Labeller that compared them: zero-shot"),
    _run_key(),
    _key("property", Text, "The property, as the pool writes it first"),
    _need(
        "share",
        Double,
        "Share of the head's variance that lies between images nearest to different descriptions of "
        "the property: eta squared, adjusted for their number. At most 1; 0 on average where groups are random",
    ),
    _may("chance", Double, "The share that 1 in 20 permutations of the images would exceed; null under 4 images"),
)

judgements = _table(
    "judgements",
    "One judge's verdict on whether a description fits a head's property.",
    _model(),
    _layer(),
    _head(),
    _key("text_id", Text, "The description judged (texts.text_id)"),
    _key("property", Text, "The property it was judged against"),
    _key("judge", Text, "Who judged: vote, llm:MODEL, human:NAME or import:SOURCE"),
    _run_key(),
    _may("verdict", Boolean, "true: it fits, false: it does not, null: no answer to that"),
    _need("status", Text, "ok, rejected (an answer that does not hold) or error (no answer)"),
    _error(),
    _prompt(),
)

runs = _table(
    "runs",
    "A command that wrote to the index.",
    _key("run", Text, "Id that sorts by time: YYYYMMDDTHHMMSSffffff-xxxx, UTC and four hex digits"),
    _need("command", Text, "The command: ingest images, span, label, ..."),
    _may("arguments", JSON, "Arguments of the command, by name"),
    _may("versions", JSON, "Versions of clipdb and of the libraries that computed, by name"),
    _may("device", Text, "cpu or the accelerator's name; null where no device computed"),
    _need("started_at", _INSTANT, "When the command started (UTC)"),
    _may("finished_at", _INSTANT, "When it finished (UTC); null while it runs and after it was killed"),
    _may("added", BigInteger, "Items added"),
    _may("skipped", BigInteger, "Items that were already there"),
    _may("failed", BigInteger, "Items that failed"),
    indexed=False,
)

batches = _table(
    "batches",
    "A committed batch of vectors. Rows of a Lance table that no batch here vouches for are not read.",
    _model(),
    _key("kind", Text, "Which vectors: images or texts"),
    _run_key(),
    _key("batch", Integer, "Batch within the run, counted from 0"),
    _need("lance_version", BigInteger, "Version of the Lance table with the batch; readers open the highest"),
    _need("added", BigInteger, "Rows that the batch added"),
    _need("committed_at", _INSTANT, "When the batch was committed (UTC)"),
)
