-- Whether an LLM asked again names a head the same
--
-- Runs of one model with the same prompt and examples: share is the share of the most frequent name, agreement the
-- share of the pairs of runs that gave the same one. With --by labeller these are means over the heads that were named
-- at least twice, which repeated counts; stable counts those that got one name in all runs, failed the runs that failed.
-- An answer that no name fits is an answer.
--
-- $by choice(labeller|head) = labeller: What a row is.
-- $labeller text optional: Only this one, llm:MODEL.
-- $model model optional: Only this model.
-- note: select model_id || ': ' || note from cut_models where $model is null or model_id = $model
-- needs: labels
-- empty: only LLMs' names are counted, of `clipdb label --labeller llm --repeats 3 --temperature 0.7`

with parts as (
    select
        model_id, labeller, pool, 'all heads' as part, null as layer, null as head, null as property, repeated_heads,
        stable_heads, runs, share, labeller_stability.agreement, failed
    from labeller_stability where $by = 'labeller'
    union all
    select
        model_id, labeller, pool, name, layer, head, property, (runs > 1)::integer,
        (runs > 1 and names = 1)::integer, runs, share, label_stability.agreement, failed
    from label_stability where $by = 'head'
)
select
    model_id, labeller, pool, part, property, parts.agreement, share, runs, failed, repeated_heads as repeated,
    stable_heads as stable
from parts
where ($model is null or model_id = $model) and ($labeller is null or labeller = $labeller)
order by model_id, labeller, pool, parts.agreement nulls last, layer, head
