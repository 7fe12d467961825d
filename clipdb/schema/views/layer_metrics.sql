-- The metrics of each stored layer of a model, beside its architecture. Entanglement and association are those of the
-- current names; of several judges, association is by the majority, else by one who is independent, else by any.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0; -1 for the heads of an attention pooling
-- column depth: How deep the layer lies: (layer + 1) / layers, over 0..1; null for a pooling
-- column heads: Heads of the layer in this index
-- column labelled: Those with a current property
-- column properties: Their properties, as properties are compared
-- column entanglement: Share of them whose property another head of the model also carries, 0..1
-- column entanglement_chance: What names drawn evenly from the properties of the pool give, 0..1
-- column entanglement_excess: entanglement - entanglement_chance
-- column association: Share of the judged ones of which at least 3 of the first 5 spans fit, 0..1
-- column judge: Who judged that
-- column association_chance: What the judge gives where names are shuffled over heads, 0..1; null where that isn't known
-- column association_excess: association - association_chance
-- column total_variance: Variance of the layer's heads, summed
-- column share_of_variance: It as a share of that of all stored heads of the model and partition, 0..1
-- column effective_rank: Mean of the heads' effective ranks
-- column relative_rank: Mean of the heads' effective ranks, each as a share of the numbers that its vectors have, 0..1
-- column explained: Mean share of a head's variance that its spans explain, 0..1
-- column mlp_variance: Variance of what the layer's MLP adds, to set beside total_variance; null without --mlps
-- column layers: Layers of the image tower, L
-- column heads_per_layer: Attention heads a layer, H
-- column head_dim: Size of a head's output, k
-- column width: Width of the residual stream, d
-- column embed_dim: Size of the joint image-text embedding, D
-- column patch_size: Side of a square patch, pixels
-- column image_size: Side of the square input image, pixels
-- column pooling: How the tower pools its tokens
with spanned as (
    select model_id, layer, head, max(cumulative_variance) as explained
    from spans
    group by model_id, layer, head
),
judged as (
    select model_id, layer, arg_max(association, best) as association, arg_max(judge, best) as judge,
        arg_max_null(chance, best) as association_chance
    from (
        select *, (judge = 'majority', independent, judge) as best
        from association_by_layer
        where association is not null
    )
    group by model_id, layer
),
summed as (
    select
        model_id, layer, count(*) as heads, count(property_key) as labelled,
        list(distinct property_key order by property_key) filter (property_key is not null) as properties,
        sum(total_variance) as total_variance, avg(heads.effective_rank) as effective_rank,
        avg(heads.effective_rank / heads.size) as relative_rank,
        avg(spanned.explained) as explained
    from heads
    left join head_properties using (model_id, layer, head)
    left join spanned using (model_id, layer, head)
    group by model_id, layer
)
select
    model_id, layer, if(layer < 0, null, (layer + 1) / models.layers) as depth, summed.heads, labelled, summed.properties, entanglement,
    chance as entanglement_chance, excess as entanglement_excess, association, judge, association_chance,
    association - association_chance as association_excess, summed.total_variance,
    summed.total_variance / sum(summed.total_variance) over (partition by model_id, layer < 0) as share_of_variance, effective_rank,
    relative_rank, explained, mlp_variance,
    models.layers, models.heads as heads_per_layer, head_dim, width, embed_dim, patch_size, image_size, pooling
from summed
left join models using (model_id)
left join entanglement_by_layer using (model_id, layer)
left join judged using (model_id, layer)
left join (select model_id, layer, total_variance as mlp_variance from components where head = -1) using (model_id, layer)
