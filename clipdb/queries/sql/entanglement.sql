-- How much heads share properties
--
-- entanglement is the share of labelled heads whose property another head of the model also carries; exclusive is the
-- rest of them. Lower entanglement is better; low and high are the ends of its bootstrap interval over heads.
-- effective_properties is exp(entropy) of the distribution of the whole model's labelled heads over properties: how many
-- properties there are, counted by how evenly heads carry them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $level number = 0.95: Coverage of the interval, between 0 and 1.
-- $model model optional: Only this model.
-- needs: labels

with parts as (
    select
        model_id, 'all heads' as part, -1 as place, labelled_heads, shared_heads, entanglement,
        entanglement_low, entanglement_high, exclusive
    from entanglement(level := $level) where $by = 'model'
    union all
    select
        model_id, 'layer ' || layer, layer, labelled_heads, shared_heads, entanglement,
        entanglement_low, entanglement_high, exclusive
    from entanglement_by_layer(level := $level) where $by = 'layer'
    union all
    select model_id, property, -labelled_heads, labelled_heads, shared_heads, entanglement, null, null, exclusive
    from entanglement_by_property where $by = 'property'
)
select
    model_id, part, parts.labelled_heads as labelled, parts.shared_heads as shared, parts.entanglement,
    parts.entanglement_low as low, parts.entanglement_high as high, parts.exclusive, whole.effective_properties
from parts
join entanglement as whole using (model_id)
where $model is null or model_id = $model
order by model_id, place, part
