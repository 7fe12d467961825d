-- Which images the spans of each head find, measured by what is true of them
--
-- Each span is a ranking of the images, by the head's share of their similarity to the text. A row per span says which
-- true value stands first in it: auprc is the area under the precision-recall curve (average precision) of that value,
-- frequency the value's share of the images, which a ranking at random has on average, lift their difference as a share of
-- what is possible, chance the lift of the best value that 1 in 20 rankings at random exceed, and p how many of 200 reach
-- this one, times the number of keys that the row was chosen from. Of the keys of the metadata (or label) the one is shown
-- whose lift is furthest above chance; --key asks about one. A span that reads "a red thing" but finds one texture
-- describes its head badly. Values of fewer than 5 images don't count, nor do images of minimal pairs.
--
-- $head head optional: Only this head.
-- $key text optional: Only this key of the metadata, or label.
-- $spans integer = 5: How many first spans of each head.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: spans
-- limit: 20

select
    found.head, found.rank, found.span, found.key, found.value, found.auprc, found.frequency, found.lift, found.chance,
    least(1, found.p * count(*) over (partition by found.head, found.rank)) as p, found.images, named.property
from span_evidence($model, $head, $key, $spans) as found
join heads on heads.model_id = $model and heads.name = found.head
left join head_properties as named on named.model_id = $model and named.name = found.head
qualify row_number() over (
    partition by found.head, found.rank order by found.lift - found.chance desc, found.key
) = 1
order by heads.layer, heads.head, found.rank
