-- How much each property explains of a head
--
-- What the labellers zero-shot and evidence measured before they named the head or abstained, the largest share first.
-- share is the share of the head's variance that lies between images told apart by the property (of evidence from
-- pairs, the property's share of what moves the head); chance is what 1 in 20 random assignments of the images would
-- exceed. A head is named where its first share is over chance and at least 1.3 times the second. Two properties close
-- together may go together in the images at hand.
--
-- $head head required: The head, as L11.H3.
-- $model model required: The model; may be left out where the index has one.
-- $pool pool optional: Only properties of this pool.
-- needs: heads
-- empty: only `clipdb label` measures shares

with newest as (
    from label_scores
    where model_id = $model and format('L{}.H{}', layer, head) = $head and ($pool is null or pool = $pool)
    qualify rank() over (partition by pool order by run desc) = 1
)
select pool, newest.property, share, chance, labels.property is not distinct from newest.property as named
from newest join labels using (model_id, layer, head, pool, labeller, run)
order by pool, share desc, newest.property
