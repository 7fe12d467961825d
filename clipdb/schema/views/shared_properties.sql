-- Each labelled head with how many heads of its model carry its property: what the entanglement views count.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column property_key: The head's current property, as properties are compared
-- column carriers: Heads of the model with this property, itself included
select
    model_id, layer, head, property_key,
    count(*) over (partition by model_id, property_key) as carriers
from head_properties
