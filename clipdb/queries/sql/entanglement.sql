-- How much heads share properties
--
-- entanglement is the share of labelled heads whose property another head of the model also carries; exclusive is the
-- rest of them. Lower entanglement is better; low and high are the ends of its bootstrap interval over heads. chance is
-- what names drawn at random from the properties of the pool would give: with few properties and many heads that is
-- close to 1 whatever the heads do, so only an entanglement well under it says something. It is 1 - (1 - 1/P)^(n - 1) for
-- n labelled heads and P properties, and given for whole models; it is empty where names are from no pool of the index with
-- properties, as published ones are, so that P isn't known. The interval has no width at 0 and 1, and is too narrow
-- for few heads.
-- effective_properties is exp(entropy) of the distribution of the whole model's labelled heads over properties: how many
-- properties there are, counted by how evenly heads carry them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $level number = 0.95: Coverage of the interval, between 0 and 1.
-- $model model optional: Only this model.
-- needs: labels
-- empty: no head has a clear name, see `clipdb query heads` for the reasons
-- interval: entanglement low high
-- note: select 'chance is empty: the names are from no pool with properties, so how many there were to choose from is not '
--         || 'known (' || string_agg(model_id, ', ' order by model_id) || ')'
--     from (
--         select model_id
--         from current_names left join pool_texts on pool_texts.pool = current_names.given_from
--         where $by = 'model' and ($model is null or model_id = $model)
--         group by model_id having count(normal_property(pool_texts.property)) = 0
--     ) having count(*) > 0

with vocabulary as (
    select model_id, count(distinct normal_property(pool_texts.property)) as properties
    from current_names join pool_texts on pool_texts.pool = current_names.given_from
    group by model_id
),
parts as (
    select
        *, case
            when $by = 'property' then property when layer < 0 then 'pooling' when $by = 'layer' then 'layer ' || layer
            when partition = 'pool' then 'all heads of the pooling' else 'all heads' end as part,
        case $by when 'model' then -1 when 'layer' then layer else -labelled_heads end as place
    from source_entanglement(part := $by, level := $level, names_in := 'current_names')
)
select
    model_id, part, labelled_heads as labelled, shared_heads as shared, entanglement,
    if($by = 'property', null, entanglement_low) as low, if($by = 'property', null, entanglement_high) as high,
    if($by = 'model', 1 - pow(1 - 1 / nullif(properties_to_choose, 0), labelled_heads - 1), null) as chance,
    exclusive, effective_properties
from parts left join (select model_id, properties as properties_to_choose from vocabulary) using (model_id)
where $model is null or model_id = $model
order by model_id, place, part
