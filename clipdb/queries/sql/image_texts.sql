-- Texts most similar to an image in one head's space
--
-- Every text that was embedded for the model is compared, or those of a pool. The score is the cosine of the texts
-- with the image's vector in the head's space, from -1 to 1 (`cosine`); `centred` takes the mean of all images off it
-- first, and `dot` is the head's share of cos(image, text), as published.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $pool pool optional: Only texts of this pool.
-- $measure choice(cosine|dot|centred) = cosine: How vectors are compared.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: texts

select rank, score, text, text_id
from image_texts($model, $head, $image, $k, $measure, $pool)
left join texts using (text_id)
order by rank
