-- Entanglement of each layer: the share of the layer's labelled heads whose property another head of the model, in
-- this layer or any other, also carries. Lower is better. Weighted by labelled_heads it averages to the model's.
-- param level = .95: coverage of the interval of chance, 0..1
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column labelled_heads: Heads of the layer with a current property
-- column shared_heads: Those whose property another head of the model also carries
-- column entanglement: shared_heads / labelled_heads, 0..1
-- column chance: What names drawn evenly from the properties of the names' pools give, 0..1; null where these have none
-- column chance_low: Lower end of the interval in which level of such draws lie
-- column chance_high: Upper end of this interval
-- column excess: entanglement - chance
-- column exclusive: 1 - entanglement
-- column properties: Different properties among the layer's labelled heads
select
    model_id, layer, labelled_heads, shared_heads, entanglement, chance, chance_low,
    chance_high, excess, exclusive, properties
from source_entanglement(part := 'layer', level := level, names_in := 'current_names')
