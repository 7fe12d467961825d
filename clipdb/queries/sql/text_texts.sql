-- Texts most similar to a text in one head's space
--
-- Every text that was embedded for the model is compared, or those of a pool; the text itself is left out. The score is
-- the cosine in the head's space, from -1 to 1; `dot` is the inner product, and `centred` the cosine after the mean of
-- the index's texts is taken off both.
--
-- $text text required: The text.
-- $head head required: The head, as L11.H3.
-- $k integer = 10: How many to list.
-- $pool pool optional: Only texts of this pool.
-- $measure choice(cosine|dot|centred) = cosine: How vectors are compared.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: texts

select rank, score, text, text_id
from text_texts($model, $head, $text, $k, $measure, $pool)
left join texts using (text_id)
order by rank
