-- Images most similar to an image in what one head writes
--
-- Every image is compared, or, for cosines where the head has a vector index (`clipdb index`), those that it chooses.
-- The image itself is left out; one that the index lacks goes through the model once.
-- The score is the cosine of the two images' vectors in the head's space, from -1 to 1; `dot` is their inner product,
-- as published, and `centred` the cosine after the head's mean is taken off both. With --baseline, baseline_id and
-- baseline_score are the image of the same rank by the whole embedding. precision is then the share of the images found
-- that have the image's own true value, by the metadata key that is called as the head's property, or else by their
-- label, and baseline_precision that of those by the whole embedding.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $measure choice(cosine|dot|centred) = cosine: How vectors are compared.
-- $exact boolean = false: Compare every image, even where the head has a vector index.
-- $baseline boolean = false: Show what the whole embedding finds beside them, and how many of each have the image's own true value.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- sheet: image_id score
-- empty: the image has not been through this head, or no other has: `clipdb ingest images SRC --model MODEL --layers all` runs them

select rank, score, image_id, label, uri
from neighbours($model, $head, $image, $k, $measure, $exact)
left join images using (image_id)
order by rank

-- with $baseline:
with asked as (
    select key, true_value(metadata, label, key) as own
    from images, (select max(property_key) as key from head_properties where model_id = $model and name = $head)
    where image_id = $image
)
select
    rank, found.score, found.image_id, images.label, images.uri, whole.image_id as baseline_id,
    whole.score as baseline_score,
    avg((true_value(images.metadata, images.label, key) = own)::int) over () as precision,
    avg((true_value(near.metadata, near.label, key) = own)::int) over () as baseline_precision
from neighbours($model, $head, $image, $k, $measure, $exact) as found
left join embedding_neighbours($model, $image, $k) as whole using (rank)
left join images on images.image_id = found.image_id
left join images as near on near.image_id = whole.image_id
left join asked on true
order by rank
