-- Heads' names, put to the test
--
-- A row per head. name is what counts for it among the names of all labellers but evidence, which is what tests them.
-- direct and causal are by how much zero-shot accuracy in telling the name's values apart falls without the head:
-- directly, when what it writes into the embedding is replaced, and when its output is replaced while the model runs,
-- by its mean or by nothing (mode), with the 95 % interval (the query `effects`; empty where `clipdb ablate --each --target NAME` hasn't measured it; of several measurements,
-- that over most images). follows is the property that the head goes with most by the truth, in minimal pairs or else
-- in the metadata of images, and specificity that property's share (the queries specificity and evidence). holds says
-- whether that is the name: yes; no; unclear where no property stands out, by 1.3 times the next; not tested where
-- `clipdb label --labeller evidence` hasn't compared it.
--
-- $holds choice(yes|no|unclear|not tested) optional: Only names of which this is so.
-- $head head optional: Only this head.
-- $model model optional: Only heads of this model.
-- note: select 'no name was tested: run `clipdb label --labeller evidence`, which needs pairs or metadata of images'
--     where not exists (from label_scores where labeller = 'evidence' and ($model is null or model_id = $model))
-- needs: heads
-- limit: 200
-- interval: causal causal_low causal_high

with newest as (
    from label_scores where labeller = 'evidence'
    qualify rank() over (partition by model_id, layer, head order by run desc) = 1
),
truth as (
    select
        model_id, layer, head, arg_max(property, share) as follows, max(share) as specificity,
        list(normal_property(property)) as compared
    from newest
    group by all
),
measured as (
    select model_id, ablated, before, direct, causal, images, mode, normal_property(target) as task
    from effects where part = 'all'
    qualify row_number() over (
        partition by model_id, ablated, task order by images desc, mode, mean, tokens, template, target
    ) = 1
),
held as (
    select
        heads.model_id, heads.layer, heads.head, heads.name as head_name, property, labeller, follows, specificity,
        measured.* exclude (model_id, ablated, task),
        case when property is null then null
            when tested then 'yes'
            when not tested then 'no'
            when list_contains(compared, property_key) then 'unclear'
            else 'not tested' end as holds
    from heads
    left join head_properties(left_out := 'evidence') using (model_id, layer, head)
    left join truth using (model_id, layer, head)
    left join measured on measured.model_id = heads.model_id and ablated = heads.name and task = property_key
)
select
    model_id, head_name as head, property as name, labeller,
    round(before - direct, 12) as direct, round(before - causal, 12) as causal,
    round(drop_interval(before, causal, images).low, 12) as causal_low,
    round(drop_interval(before, causal, images).high, 12) as causal_high,
    follows, specificity, holds, before, images, mode
from held
where ($model is null or model_id = $model) and ($head is null or head_name = $head) and ($holds is null or holds = $holds)
order by model_id, layer, held.head
