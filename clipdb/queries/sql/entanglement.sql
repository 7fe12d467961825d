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
-- interval: entanglement low high

with parts as (
    select
        *, case $by when 'model' then 'all heads' when 'layer' then 'layer ' || layer else property end as part,
        case $by when 'model' then -1 when 'layer' then layer else -labelled_heads end as place
    from source_entanglement(part := $by, level := $level, names_in := 'current_names')
)
select
    model_id, part, labelled_heads as labelled, shared_heads as shared, entanglement,
    if($by = 'property', null, entanglement_low) as low, if($by = 'property', null, entanglement_high) as high,
    exclusive, effective_properties
from parts
where $model is null or model_id = $model
order by model_id, place, part
