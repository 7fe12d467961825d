-- Two models layer by layer
--
-- The metrics of each stored layer of a beside those of the same layer of b, as `clipdb query layers` gives them for one
-- model: entanglement and association by current names, the layer's share of the variance of all stored heads, the mean
-- effective rank, the mean share of variance that spans explain. Layers that one of the two lacks stand alone.
--
-- $a model optional: One model; may be left out where the index has two.
-- $b model optional: The other model; may be left out likewise.
-- needs: heads

with asked as (from compared_models($a, $b)),
one as (from layer_metrics where model_id = (select a from asked)),
two as (from layer_metrics where model_id = (select b from asked))
select
    layer, one.entanglement, two.entanglement as entanglement_b, one.association, two.association as association_b,
    one.share_of_variance as variance, two.share_of_variance as variance_b, one.effective_rank,
    two.effective_rank as effective_rank_b, one.explained, two.explained as explained_b, one.labelled,
    two.labelled as labelled_b, a, b
from one full join two using (layer) cross join asked
order by layer
