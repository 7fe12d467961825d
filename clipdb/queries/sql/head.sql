-- One head's card
--
-- What the head is called and by whom, and its spans in the order in which TEXTSPAN picked them, each with the share
-- of the head's variance that it explains. tested, share, probability, confidence, note and aligner_r2 are as in the query
-- heads. direct_drop and causal_drop are what the query effects has of the head, of the last task that `clipdb ablate`
-- measured it in: target. stability says in how many of two halves of the images a span of the first five is among
-- the first five as well: 0, 0.5 or 1.
--
-- $head head required: The head, as L11.H3.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: heads

select
    name as head, property, labeller, tested, share, probability, confidence, rank, text as span,
    head_spans.variance_explained as variance, head_spans.cumulative_variance as cumulative, stability, head_spans.pool, note,
    aligners.r2 as aligner_r2, lost.target, direct_drop, causal_drop
from head_cards(top_n := 1) as cards
left join aligners using (model_id)
left join head_spans using (model_id, layer, head)
left join (
    select model_id, ablated as name, target, before - direct as direct_drop, before - causal as causal_drop
    from effects where part = 'all' qualify row_number() over (partition by model_id, ablated order by run desc) = 1
) as lost using (model_id, name)
where model_id = $model and name = $head
order by rank
