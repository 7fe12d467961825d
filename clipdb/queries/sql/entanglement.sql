-- How much heads share properties
--
-- entanglement is the share of labelled heads whose property another head of the model also carries; exclusive is the
-- rest of them. Lower entanglement is better. effective_properties is exp(entropy) of the distribution of the whole
-- model's labelled heads over properties: how many properties there are, counted by how evenly heads carry them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $model model optional: Only this model.
-- needs: labels

with parts as (
    select model_id, 'all heads' as part, -1 as place, labelled_heads, shared_heads, entanglement, exclusive
    from entanglement where $by = 'model'
    union all
    select model_id, 'layer ' || layer, layer, labelled_heads, shared_heads, entanglement, exclusive
    from entanglement_by_layer where $by = 'layer'
    union all
    select model_id, property, -labelled_heads, labelled_heads, shared_heads, entanglement, exclusive
    from entanglement_by_property where $by = 'property'
)
select
    model_id, part, parts.labelled_heads, parts.shared_heads, parts.entanglement, parts.exclusive,
    whole.effective_properties
from parts
join entanglement as whole using (model_id)
where $model is null or model_id = $model
order by model_id, place, part
