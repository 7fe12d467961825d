-- Entanglement of each layer: the share of the layer's labelled heads whose property another head of the model, in
-- this layer or any other, also carries. Lower is better. Weighted by labelled_heads it averages to the model's.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column labelled_heads: Heads of the layer with a current property
-- column shared_heads: Those whose property another head of the model also carries
-- column entanglement: shared_heads / labelled_heads, 0..1
-- column exclusive: 1 - entanglement
-- column properties: Different properties among the layer's labelled heads
select
    model_id, layer,
    count(*) as labelled_heads,
    count(*) filter (carriers > 1) as shared_heads,
    count(*) filter (carriers > 1) / count(*) as entanglement,
    1 - count(*) filter (carriers > 1) / count(*) as exclusive,
    count(distinct property_key) as properties
from shared_properties
group by model_id, layer
