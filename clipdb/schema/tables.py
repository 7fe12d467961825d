"""The relations of an index: the one source of the DDL, the catalog's comments and the data dictionary.

Primary keys are what identifies a row. For large tables and those whose rows are rewritten DuckDB doesn't enforce them
(``indexed=False``): its index would make the catalog twice as big and a commit many times slower, and keep the room of
rows that are gone. One process writes at a time and compares keys; imports and ``clipdb verify`` check them.
"""

from __future__ import annotations

from sqlalchemy import ARRAY, JSON, REAL, BigInteger, Boolean, Double, Integer, Text

from clipdb.schema.columns import error, head, key, layer, may, model, need, prompt, run, run_key
from clipdb.schema.declared import INSTANT, declare
from clipdb.schema.tables_of_models import metadata as metadata

images = declare(
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

image_failures = declare(
    "image_failures",
    "A file that could not be read as an image. It is tried again on the next ingest.",
    key("uri", Text, "Where the file was found"),
    need("error", Text, "Why it could not be read, in one line"),
    run(),
    indexed=False,
)

pairs = declare(
    "pairs",
    "Two images that differ in one attribute and in nothing else: a minimal pair, as `clipdb ingest pairs` takes them.",
    key("image_a", Text, "The one with the lower id (images.image_id)"),
    key("image_b", Text, "The other (images.image_id)"),
    key("attribute", Text, "What differs: colour"),
    need("value_a", Text, "What it is in image_a: red"),
    need("value_b", Text, "What it is in image_b: blue"),
    run(),
    indexed=False,
)

texts = declare(
    "texts",
    "A text that was embedded, known by its content.",
    key("text_id", Text, "Hex SHA-256 of the text in UTF-8"),
    need("text", Text, "The text"),
)

pools = declare(
    "pools",
    "A named set of descriptions.",
    key("pool", Text, "Short name, as commands take it: general"),
    may("name", Text, "Title for people"),
    may("source", Text, "Where the descriptions come from"),
    may("licence", Text, "Licence of the descriptions"),
)

pool_texts = declare(
    "pool_texts",
    "A text's place in a pool.",
    key("pool", Text, "Pool (pools.pool)"),
    key("text_id", Text, "Text (texts.text_id)"),
    need("position", Integer, "Place in the pool, counted from 0; breaks ties between spans"),
    may("property", Text, "Property that the description names; null where the pool does not say"),
    indexed=False,
)

spans = declare(
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
    may(
        "stability",
        Double,
        "Of the first five picks: in how many of two halves of the images this text is among the first five as well, "
        "0, 0.5 or 1; null of later picks and of spans that were imported",
    ),
    indexed=False,
)

directions = declare(
    "directions",
    "A direction of what a head writes, and the texts of a pool that it is made of. `clipdb span --from weights` takes "
    "the singular vectors of the head's map (arXiv 2603.24653), `--from principal` the principal directions of its "
    "vectors over the images.",
    model(),
    layer(),
    head(),
    key("source", Text, "weights, or principal for those over the images"),
    key("pool", Text, "Pool whose texts it is made of (pools.pool)"),
    key("direction", Integer, "Order of the direction by its share, counted from 1"),
    need(
        "share",
        Double,
        "Fraction 0..1: the squared singular value over the sum of all, or the variance along it over the head's",
    ),
    need("vector", ARRAY(REAL), "The direction, a unit vector in the joint space, shape [embed_dim]"),
    need(
        "texts",
        JSON,
        'Texts whose weighted sum comes close to the direction, as [{"text": ..., "weight": ...}], the largest weight '
        "first; of each the pool's mean is taken off, and it has unit length",
    ),
    need("fit", Double, "Cosine between the direction and that sum, 0..1"),
    need("opposite", JSON, "Texts of the direction's other end, likewise: a direction has no sign of its own"),
    need("opposite_fit", Double, "Cosine between the other end and their sum, 0..1"),
    may(
        "stability",
        Double,
        "How far the directions up to this one are the same over two halves of the images, 0..1: root mean square of "
        "the cosines between the two subspaces; null of weights",
    ),
    run(),
    indexed=False,
)

labels = declare(
    "labels",
    "One naming of a head by one labeller; head_properties has the current name.",
    model(),
    layer(),
    head(),
    key("pool", Text, "Pool whose spans or descriptions the labeller saw (pools.pool)"),
    key("labeller", Text, "Who named it: evidence, zero-shot, vote, llm:MODEL, human:NAME or import:SOURCE"),
    run_key(),
    may("property", Text, "The property as the labeller wrote it; null where it found none that fits"),
    may("confidence", Double, "The labeller's confidence, 0..1, or null; of evidence, zero-shot and vote a share"),
    may("rationale", Text, "The labeller's reason; null where it gave none"),
    prompt(),
    may("examples_sha256", Text, "Hex SHA-256 of the examples in the prompt; null where none were sent"),
    need("status", Text, "ok, error (no answer that holds) or rejected (a person says that the property is wrong)"),
    error(),
    need("created_at", INSTANT, "When the label was given (UTC)"),
)

label_scores = declare(
    "label_scores",
    "How much of a head goes with a property: what the labellers zero-shot and evidence compared (docs/labels.md).",
    model(),
    layer(),
    head(),
    key("pool", Text, "Pool whose properties were compared (pools.pool); evidence for the labeller of that name"),
    key("labeller", Text, "Labeller that compared them: zero-shot or evidence"),
    run_key(),
    key("property", Text, "The property, as the pool writes it first"),
    need(
        "share",
        Double,
        "Share of the head's variance that lies between images nearest to different descriptions of "
        "the property, for evidence of different true values: eta squared, adjusted for their number, 0 on average "
        "where groups are random; or the property's part of what moves the head in minimal pairs. At most 1",
    ),
    may("chance", Double, "The share that 1 in 20 permutations of the images would exceed; null under 4 images"),
)

judgements = declare(
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

effects = declare(
    "effects",
    "Zero-shot accuracy without a set of heads, as `clipdb ablate` measured it: with the model run again, and by "
    "what the heads write into the embedding. A set's rows take the place of older ones over as many images or fewer.",
    model(),
    key("ablated", Text, "The set: names of its heads in order, with commas: L3.H0,L3.H3"),
    key("target", Text, "What is classified: label, or a key of the images' metadata; with groups, label x background"),
    key("template", Text, "Text of a class, whose name goes where {} is; of which several, one a line, or openai"),
    key(
        "mode",
        Text,
        "What takes the heads' place: zero, or mean (over these images; for direct over all images of the index)",
    ),
    key("mean", Text, "Over what the mean is taken: token (for each token's place) or global; none where mode is zero"),
    key("tokens", Text, "At which tokens outputs are replaced: all or class-token"),
    key("part", Text, "Which images: all, those of a class or group, or worst group: those of the lowest accuracy"),
    key(
        "class_name",
        Text,
        "The class or group; A -> B where the worst is A with all heads and B without; empty of all",
    ),
    may("property", Text, "The property that the set was chosen by (--property); null where it was not"),
    need("images", BigInteger, "How many images; of a worst group those of B"),
    need("before", Double, "Accuracy with all heads, 0..1"),
    need("direct", Double, "Accuracy without what the heads write into the embedding, as the query ablate has it"),
    need("causal", Double, "Accuracy of the model run with the heads' outputs replaced"),
    need("causal_low", Double, "Low end of its 95-percent interval (Wilson, JASA 22, 1927)"),
    need("causal_high", Double, "High end of it"),
    need("difference", Double, "causal - direct"),
    may("difference_low", Double, "Low end of its 95-percent interval, a bootstrap over images; null of a worst group"),
    may("difference_high", Double, "High end of it"),
    may("control_direct", Double, "Mean of direct over random sets of as many other heads; null where none were drawn"),
    may("control_causal", Double, "Mean of causal over them"),
    may("control_low", Double, "Lowest causal among them"),
    may("control_high", Double, "Highest causal among them"),
    need("controls", Integer, "How many random sets"),
    need("seed", BigInteger, "What decided the random sets and the bootstrap"),
    need("images_sha256", Text, "Hex SHA-256 of the ids and classes of all images that were classified"),
    run(),
    indexed=False,
)

runs = declare(
    "runs",
    "A command that wrote to the index.",
    key("run", Text, "Id that sorts by time: YYYYMMDDTHHMMSSffffff-xxxx, UTC and four hex digits"),
    need("command", Text, "The command: ingest images, span, label, ..."),
    may("arguments", JSON, "Arguments of the command, by name"),
    may("versions", JSON, "Versions of clipdb and of the libraries that computed, by name"),
    may("device", Text, "cpu or the accelerator's name; null where no device computed"),
    need("started_at", INSTANT, "When the command started (UTC)"),
    may("finished_at", INSTANT, "When it finished (UTC); null while it runs and after it was killed"),
    may("added", BigInteger, "Items added"),
    may("skipped", BigInteger, "Items that were already there"),
    may("failed", BigInteger, "Items that failed"),
    indexed=False,
)

batches = declare(
    "batches",
    "A committed batch of vectors. Rows of a Lance table that no batch here vouches for are not read.",
    model(),
    key("kind", Text, "Which vectors: images or texts"),
    run_key(),
    key("batch", Integer, "Batch within the run, counted from 0"),
    need("lance_version", BigInteger, "Version of the Lance table with the batch; readers open the highest"),
    need("added", BigInteger, "Rows that the batch added"),
    need("committed_at", INSTANT, "When the batch was committed (UTC)"),
)
