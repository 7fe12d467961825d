-- Images most like an image by the whole embedding
--
-- The score is the cosine of the two embeddings, all heads and everything else together. It is the baseline to compare
-- one head or one property with.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $k integer = 10: How many to list.
-- $model model required: The model; may be left out where the index has one.
-- sheet: image_id score

select rank, score, image_id, label, uri
from embedding_neighbours($model, $image, $k)
left join images using (image_id)
order by rank
