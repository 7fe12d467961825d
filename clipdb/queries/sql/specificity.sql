-- What moves each head when it alone changes, by minimal pairs
--
-- Over the pairs of `clipdb ingest pairs`: how far a head's vectors are apart, mean |y_a - y_b|^2, where only this attribute
-- differs. share is the attribute's part of the sum over all attributes, each counted alike, with the 95 % interval of a
-- bootstrap over pairs: 1 where nothing else moves the head, 1 over the number of attributes where all do alike. margin
-- is how many times as far it moves the head as the next attribute does. p is the share of 1,000 permutations of the
-- attributes over the pairs that have a largest share like that. property is the head's name. The attribute that moves each
-- head most; all of them with --head.
--
-- $head head optional: Only this head, with all attributes.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: images
-- limit: 50
-- interval: share low high

select
    moved.head, attribute, moved.share, moved.low, moved.high, margin, moved.p, pairs, named.property
from specificity($model, $head) as moved
join heads on heads.model_id = $model and heads.name = moved.head
left join head_properties as named on named.model_id = $model and named.name = moved.head
where $head is not null or rank = 1
order by heads.layer, heads.head, rank
