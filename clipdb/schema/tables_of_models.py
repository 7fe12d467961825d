"""The relations about models: what they are, and what their heads and other components are."""

from __future__ import annotations

from sqlalchemy import ARRAY, JSON, REAL, BigInteger, Double, Integer, LargeBinary, Text

from clipdb.schema.columns import (
    aligner,
    basis,
    cut,
    head,
    key,
    layer,
    may,
    model,
    need,
    run,
    similarity,
    size,
    statistics,
)
from clipdb.schema.declared import INSTANT, declare
from clipdb.schema.declared import metadata as metadata
from clipdb.schema.names import COMPONENT_NAME, COMPONENT_PARTITION, HEAD_NAME, PARTITION

clipdb_schema = declare(
    "clipdb_schema",
    "A schema version that this catalog has had; the highest is the current one.",
    key("version", Integer, "Schema version, counted from 1"),
    need("clipdb_version", Text, "Version of clipdb that brought the catalog to this schema version"),
    need("upgraded_at", INSTANT, "When the catalog reached this version (UTC)"),
)

models = declare(
    "models",
    "A model with weights whose heads are in this index.",
    model(),
    need("layers", Integer, "Transformer layers of the image tower, L; 0 where it is convolutional"),
    need("heads", Integer, "Attention heads a layer, H; 0 where there are no layers"),
    need("head_dim", Integer, "Size of a head's output, k (width / heads); 0 where there are no layers"),
    need("width", Integer, "Width of the residual stream, d"),
    need("embed_dim", Integer, "Size of the joint image-text embedding, D"),
    may("patch_size", Integer, "Side of a square patch, pixels; null where the tower has no square patches"),
    need(
        "image_size",
        Integer,
        "Side of the square input image, pixels; where images keep their shape (NaFlex), of the largest square one",
    ),
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
    may(
        "storage_error",
        Double,
        "Largest L2 norm of what cut vectors lack of an image's embedding (--rank-factor), all heads summed, as a "
        "fraction of the embedding's norm; null where no vectors are cut",
    ),
)

# Bases are large and never change, statistics change with every ingest: apart, so that no ingest writes bases again.
bases = declare(
    "bases",
    "The basis of the vectors of a head or another component. Written once, when it is first ingested or imported.",
    model(),
    layer(),
    head(),
    basis(),
    size(),
    *cut(),
)

head_statistics = declare(
    "head_statistics",
    "A head or another component, with the statistics of its vectors; they are null for a head known by name only.",
    model(),
    layer(),
    head(),
    *statistics(),
    indexed=False,
)

heads = declare(
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
    *cut(),
    *statistics(),
    view=f"select model_id, layer, head, {HEAD_NAME} as name, {PARTITION} as partition, basis, size, tail, written, "
    "mean, total_variance, effective_rank from head_statistics left join bases using (model_id, layer, head) "
    "where head >= 0",
)

components = declare(
    "components",
    "A part of the embedding that is no head and whose vectors are stored (--mlps, --constants): with the heads of all "
    "layers, those of a partition add up to the embedding.",
    model(),
    key("layer", Integer, "Layer whose MLP it is; -1 for an attention pooling, -2 for what is of no single layer"),
    key("head", Integer, "What stands in the place of a head: -1 an MLP, -2 what is left, the stem and all constants"),
    need("name", Text, "As people write it: L11.MLP, P.MLP of an attention pooling, REST and P.REST"),
    need("partition", Text, "trunk or pool, whose heads it adds up with; both for P.MLP"),
    basis(),
    size(),
    *statistics(),
    view=f"select model_id, layer, head, {COMPONENT_NAME} as name, {COMPONENT_PARTITION} as partition, basis, size, "
    "mean, total_variance, effective_rank from head_statistics left join bases using (model_id, layer, head) "
    "where head < 0",
)

aligners = declare(
    "aligners",
    "How a CLIP model's texts t reach a model without a text tower: as W t. r2 says how well they fit there.",
    model(),
    *aligner(),
    run(),
)

head_pairs = declare(
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

property_indexes = declare(
    "property_indexes",
    "A vector index of several heads together, by which `property-neighbours` chooses images (`clipdb index --heads "
    "property=NAME`).",
    model(),
    key("heads", Text, "The heads that it is over: their names in order, with commas: L3.H0,L3.H3"),
    need("images", BigInteger, "How many rows of the table of vectors it covers, from the first on"),
    need("rows_sha256", Text, "Hex SHA-256 of the ids and runs of these rows; where they are others, it isn't used"),
    need("partitions", Integer, "How many parts the images are cut into"),
    need("nprobes", Integer, "How many of these are searched"),
    need("compared", Integer, "How many images are compared by their vectors, for each that is asked for"),
    need("recall", Double, "Share of the ten nearest images that are found, 0..1, over stored images asked about"),
    run(),
    need("created_at", INSTANT, "When it was made (UTC)"),
    indexed=False,
)

property_index_parts = declare(
    "property_index_parts",
    "Images that lie together in a vector index of several heads: 140 bytes an image where embed_dim is 512.",
    model(),
    key("heads", Text, "The index (property_indexes.heads)"),
    key("part", Integer, "The part, counted from 0"),
    need("centre", ARRAY(REAL), "Its centre by k-means, shape [embed_dim]; it and what follows in turned coordinates"),
    need("rows", LargeBinary, "The images, as rows of the table of vectors, counted from 0: uint32, little-endian"),
    need("codes", LargeBinary, "How an image lies about the centre: two bits for each number, the first ones highest"),
    need("scales", LargeBinary, "Squared distance to the centre over the product of difference and code, float32"),
    need("offsets", LargeBinary, "Inner product of the centre and what leads from it to the image, float32"),
    indexed=False,
)
