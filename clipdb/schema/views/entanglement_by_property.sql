-- Entanglement of each property: 1 where several heads of the model carry it, 0 where one head does. Weighted by
-- share_of_heads it sums to the model's.
-- column model_id: Model with weights
-- column property: The property, as properties are compared
-- column labelled_heads: Heads of the model that carry it
-- column share_of_heads: labelled_heads as a share of all labelled heads of the model, 0..1
-- column shared_heads: labelled_heads where there are several, else 0
-- column entanglement: shared_heads / labelled_heads: 1 or 0
-- column exclusive: 1 - entanglement
-- column layers: Layers of these heads, in order
-- column partition: trunk or pool: which heads the row is about
select model_id, property, labelled_heads, share_of_heads, shared_heads, entanglement, exclusive, layers, partition
from source_entanglement(part := 'property', names_in := 'current_names')
