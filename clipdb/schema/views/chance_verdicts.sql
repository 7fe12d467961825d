-- Verdicts that `clipdb judge --chance` asked for: on names that other heads carry, and that nobody gave this head. They
-- say what shuffled names would give (source_association), and nothing of the head's own names.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column text_id: The text
-- column property: The other heads' name
-- column property_key: The same as properties are compared
-- column judge: Who judged
-- column run: Run that wrote the verdict
-- column status: ok, rejected or error
with asked as (
    select model_id, layer, head, text_id, property, normal_property(property) as property_key, judge, run, status
    from judgements semi join (from runs where (arguments->>'$.chance') = 'true') using (run)
),
given as (
    select model_id, layer, head, normal_property(property) as property_key from labels
)
from asked anti join given using (model_id, layer, head, property_key)
