-- The current name of each head (head_properties) as a source of its own, whose labeller is 'current' and whose pool is
-- null, since the names may be from several.
-- column model_id: Model with weights
-- column pool: Null
-- column labeller: 'current'
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property
-- column property_key: The property as properties are compared
-- column given_by: Who named the head
-- column given_from: Pool whose spans or descriptions they saw
select
    model_id, null::text as pool, 'current' as labeller, layer, head, name, property, property_key,
    labeller as given_by, pool as given_from
from head_properties
