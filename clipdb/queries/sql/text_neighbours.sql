-- Images most similar to a text in one head's space
--
-- Every image is compared, or, for cosines where the head has a vector index (`clipdb index`), those that it chooses. A
-- text that the index lacks goes through the model once. The score is the cosine of the text with the images' vectors in
-- the head's space, from -1 to 1 (`cosine`); `centred` takes their mean off the images first, and `dot` is the head's
-- share of cos(image, text), as published.
--
-- $text text required: The text.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $measure choice(cosine|dot|centred) = cosine: How vectors are compared.
-- $exact boolean = false: Compare every image, even where the head has a vector index.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- sheet: image_id score

select rank, score, image_id, label, uri
from text_neighbours($model, $head, $text, $k, $measure, $exact)
left join images using (image_id)
order by rank
