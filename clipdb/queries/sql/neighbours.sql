-- Images most similar to an image in what one head writes
--
-- Every image is compared, or, for cosines where the head has a vector index (`clipdb index`), those that it chooses.
-- The image itself is left out; one that the index lacks goes through the model once.
-- The score is the cosine of the two images' vectors in the head's space, from -1 to 1; `dot` is their inner product,
-- as published, and `centred` the cosine after the head's mean is taken off both.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $measure choice(cosine|dot|centred) = cosine: How vectors are compared.
-- $exact boolean = false: Compare every image, even where the head has a vector index.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- sheet: image_id score
-- empty: the image has not been through this head, or no other has: `clipdb ingest images SRC --model MODEL --layers all` runs them

select rank, score, image_id, label, uri
from neighbours($model, $head, $image, $k, $measure, $exact)
left join images using (image_id)
order by rank
