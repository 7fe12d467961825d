-- Images that activate a head most and least
--
-- The score is the length of what the head adds to its mean over the images. Along a text, or one of the head's spans,
-- it is the head's share of cos(image, text) less its mean share: least is then the opposite of the text in
-- this head's space.
--
-- $head head required: The head, as L11.H3.
-- $text text optional: Along this text.
-- $span integer optional: Along the head's span of this rank, from 1.
-- $k integer = 10: How many images of either side.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- sheet: image_id score side

select side, rank, score, image_id, label, uri
from activating($model, $head, $text, $span, $k)
left join images using (image_id)
order by side desc, rank
