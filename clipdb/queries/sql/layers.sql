-- Layers
--
-- One row per stored layer (`clipdb ingest images --layers all` stores all): how many heads it has and how many are
-- labelled, their properties, entanglement and association by their current names (of several judges the majority, else
-- an independent one), each after its excess over chance (see the queries entanglement and association), the variance
-- of their vectors in total and as a share of all stored heads', that of the layer's MLP (stored by --mlps), the mean
-- of their effective ranks, also as a share of the numbers in a vector, and the mean share of their variance that their
-- spans explain; beside them depth, (layer + 1) / layers, and what the architecture is like. The heads of an attention
-- pooling are the layer -1.
--
-- $model model optional: Only layers of this model.
-- note: select model_id || ': ' || note from cut_models where $model is null or model_id = $model
-- needs: heads

select
    model_id, layer, depth, heads, labelled, entanglement_excess as e_excess, entanglement, association_excess as a_excess,
    association, judge, explained, effective_rank, relative_rank, share_of_variance as variance, head_dim, properties,
    total_variance, mlp_variance, layers, heads_per_layer, width, patch_size, image_size, pooling
from layer_metrics
where $model is null or model_id = $model
order by model_id, layer
