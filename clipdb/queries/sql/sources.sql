-- What each source calls a head
--
-- One row per labeller and pool, the source first whose name counts; share, probability, confidence and the order of sources are
-- as in the query heads.
--
-- $head head required: The head, as L11.H3.
-- $model model required: The model; may be left out where the index has one.
-- needs: heads
-- empty: nobody has named this head: `clipdb label` does

select labeller, property, pool, share, probability, confidence, rationale, created_at
from head_labels left join name_probabilities using (model_id, layer, head, labeller, pool)
where model_id = $model and name = $head
order by labeller_rank(labeller), created_at desc, labeller, pool
