-- Images most like an image, as one head sees them
--
-- The score is the cosine of the two images' vectors in the head's space, from -1 to 1. The image itself is left out.
--
-- $image image required: The image: a file, or the beginning of an image_id.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $model model required: The model; may be left out where the index has one.

select rank, score, image_id, label, uri
from neighbours($model, $head, $image, $k)
left join images using (image_id)
order by rank
