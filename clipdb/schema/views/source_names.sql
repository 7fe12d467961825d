-- Every name that is scored, by its source: what each labeller calls each head from each pool, and the current names.
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the head, or current
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property
-- column property_key: The property as properties are compared
-- column given_by: Who named the head, where that is current too
-- column given_from: Pool whose spans or descriptions they saw, where that is null in pool too
select
    model_id, pool, labeller, layer, head, name, property, property_key, labeller as given_by, pool as given_from
from head_labels
union all
from current_names
