-- How much heads share properties
--
-- entanglement is the share of labelled heads whose property another head of the model also carries; exclusive is the
-- rest of them. It says little alone: with few properties and many heads, names drawn at random share nearly always.
-- chance is what names drawn evenly from the properties of the pool would give, 1 - (1 - 1/P)^(n - 1) for n labelled
-- heads and P properties, with the interval in which 95 % of such draws lie (--level says how many), and excess is
-- entanglement less chance. Heads share less than at random only where entanglement is under that interval. chance is
-- empty where names are from no pool of the index with properties, as published ones are, so that P isn't known, and
-- with --by property. effective_properties is exp(entropy) of the distribution of the whole model's labelled heads over
-- properties: how many properties there are, counted by how evenly heads carry them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $level number = 0.95: Coverage of the interval of chance, between 0 and 1.
-- $model model optional: Only this model.
-- needs: labels
-- empty: no head has a clear name, see `clipdb query heads` for the reasons
-- interval: chance chance_low chance_high
-- note: select 'chance is empty: the names are from no pool with properties, so how many there were to choose from is not '
--         || 'known (' || string_agg(model_id, ', ' order by model_id) || ')'
--     from (
--         select model_id
--         from current_names left join pool_texts on pool_texts.pool = current_names.given_from
--         where $by = 'model' and ($model is null or model_id = $model)
--         group by model_id having count(normal_property(pool_texts.property)) = 0
--     ) having count(*) > 0

with parts as (
    select
        *, case
            when $by = 'property' then property when layer < 0 then 'pooling' when $by = 'layer' then 'layer ' || layer
            when partition = 'pool' then 'all heads of the pooling' else 'all heads' end as part,
        case $by when 'model' then -1 when 'layer' then layer else -labelled_heads end as place
    from source_entanglement(part := $by, level := $level, names_in := 'current_names')
)
select
    model_id, part, labelled_heads as labelled, shared_heads as shared, excess, entanglement, chance, chance_low, chance_high,
    exclusive, effective_properties
from parts
where $model is null or model_id = $model
order by model_id, place, part
