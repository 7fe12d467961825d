-- Heads whose output varies along a text
--
-- For a property in your own words: which heads' output varies along it. explained is the share of the head's variance
-- that lies along the text, what it would explain as a first span; spread is the standard deviation over the images of
-- the head's share of cos(image, text), and mean its mean. A head may have a high explained and a low spread where
-- little of the text is in its space. A text that the index lacks goes through the text tower once. aligner_r2 is as in
-- the query heads.
--
-- $text text required: The text.
-- $by choice(explained|spread) = explained: What to sort by.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: heads
-- limit: 20

select found.head, found.explained, spread, mean, property, cards.spans[1] as first_span, aligners.r2 as aligner_r2
from text_heads($model, $text) as found
join head_cards(top_n := 1) as cards on cards.model_id = $model and cards.name = found.head
left join aligners on aligners.model_id = $model
order by if($by = 'explained', found.explained, spread) desc nulls last, cards.layer, cards.head
