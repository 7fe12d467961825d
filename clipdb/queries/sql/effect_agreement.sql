-- Whether heads' direct effects put heads in the order of their causal effects
--
-- Spearman's rank correlation, average ranks for ties, of by how much accuracy falls without each head directly and with
-- the model run again, over the single heads that `clipdb ablate` has measured: by layer, and over all layers (layer is
-- empty). Heads are compared that were measured in the same task, in the same way and over the same images. Near 1, direct
-- effects can be trusted to say which heads matter; near 0 they can't. spearman is empty where there are fewer than 3
-- heads, or where all have the same effect: note says which, and where effects are all one of two values.
--
-- $target text optional: Only this task: label, or a key of the images' metadata.
-- $model model optional: Only this model.
-- needs: effects
-- empty: `clipdb ablate --each` measures heads

with scoped as (
    select
        effects.*, unnest([heads.layer, null]) as layer
    from effects join heads on heads.model_id = effects.model_id and heads.name = ablated
    where part = 'all' and ($model is null or effects.model_id = $model) and ($target is null or target = $target)
),
ranked as (
    select
        *,
        rank() over (everything order by direct) + (count(*) over same_direct - 1) / 2 as direct_rank,
        rank() over (everything order by causal) + (count(*) over same_causal - 1) / 2 as causal_rank
    from scoped
    window
        everything as (partition by model_id, target, template, mode, mean, tokens, images_sha256, layer),
        same_direct as (partition by model_id, target, template, mode, mean, tokens, images_sha256, layer, direct),
        same_causal as (partition by model_id, target, template, mode, mean, tokens, images_sha256, layer, causal)
)
select
    model_id, layer, count(*) as heads,
    if(count(*) < 3 or least(count(distinct direct), count(distinct causal)) < 2, null, round(corr(direct_rank, causal_rank), 12))
        as spearman,
    case when count(*) < 3 then 'fewer than 3 heads'
        when least(count(distinct direct), count(distinct causal)) < 2 then 'one value only'
        when least(count(distinct direct), count(distinct causal)) < 3 then 'two values only' end as note,
    any_value(images) as images, target, mode, mean, tokens
from ranked
group by model_id, target, template, mode, mean, tokens, images_sha256, layer
order by model_id, target, template, mode, mean, tokens, images desc, images_sha256, layer nulls last
