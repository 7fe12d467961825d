-- What the labeller evidence found of each head when it was asked last, one row per head that it measured: the property that its output
-- goes with by the truth.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column found: The property, as properties are compared (normal_property); null where none stands out
-- column compared: The properties that were measured, as they are compared
select model_id, layer, head, normal_property(labels.property) as found, list(normal_property(scores.property)) as compared
from (
    from labels where labeller = 'evidence' and status = 'ok'
    qualify row_number() over (partition by model_id, layer, head order by created_at desc, run desc) = 1
) as labels join label_scores as scores using (model_id, layer, head, pool, labeller, run)
group by all
