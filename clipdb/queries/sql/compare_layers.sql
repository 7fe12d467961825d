-- Two models layer by layer
--
-- The metrics of each stored layer of a beside those of the same layer of b, as `clipdb query layers` gives them for one
-- model: entanglement and association by current names, the layer's share of the variance of all stored heads, the mean
-- effective rank, the mean share of variance that spans explain. Layers that one of the two lacks stand alone.
--
-- $a model required: One model.
-- $b model required: The other model.
-- needs: heads

with one as (from layer_metrics where model_id = $a),
two as (from layer_metrics where model_id = $b)
select
    layer, one.entanglement, two.entanglement as entanglement_b, one.association, two.association as association_b,
    one.share_of_variance as variance, two.share_of_variance as variance_b, one.effective_rank,
    two.effective_rank as effective_rank_b, one.explained, two.explained as explained_b, one.labelled,
    two.labelled as labelled_b, $a as a, $b as b
from one full join two using (layer)
order by layer
