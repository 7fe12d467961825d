-- Directions inside heads, as texts
--
-- What `clipdb span --from weights` and `--from principal` found: in which directions a head's weights let it write
-- most, and along which its output varies most over the images. share is the direction's part, of the squared singular
-- values or of the variance. texts are those whose weighted sum comes close to the direction, opposite those of its
-- other end, and fit is the cosine between the two, 1 where the texts are all of it. highest and lowest are the images
-- at both ends, where there are any. stability says how far the principal directions up to this one are the same over
-- two halves of the images.
--
-- $head head optional: Only this head.
-- $source text optional: weights or principal.
-- $pool pool optional: Only those made of this pool's texts.
-- $model text optional: The model; may be left out where only one has directions.
-- needs: heads
-- limit: 50

select
    found.head, source, direction, share, stability, texts, fit, above.uri as highest, opposite, opposite_fit,
    below.uri as lowest, pool
from head_directions($model, $head, $source, $pool) as found
left join images as above on above.image_id = highest
left join images as below on below.image_id = lowest
order by layer, found.head, source desc, pool, direction
