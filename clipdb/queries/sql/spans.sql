-- Search the span texts
--
-- Which heads have a span with this text in it, those that explain most of their head's variance first. aligner_r2 is as
-- in the query heads.
--
-- $text text required: The text, or a part of it.
-- $head head optional: Only spans of this head.
-- $model model optional: Only heads of this model.
-- $pool pool optional: Only spans picked from this pool.
-- note: select model_id || ': ' || note from cut_models where $model is null or model_id = $model
-- needs: spans
-- limit: 50

select
    model_id, format('L{}.H{}', layer, spans.head) as head, property, rank, text as span, variance_explained as variance, spans.pool,
    aligners.r2 as aligner_r2
from spans
left join aligners using (model_id)
left join head_properties using (model_id, layer, head)
where contains(same_spelling(text), same_spelling($text))
    and ($head is null or format('L{}.H{}', layer, spans.head) = $head)
    and ($model is null or model_id = $model)
    and ($pool is null or spans.pool = $pool)
order by variance_explained desc nulls last, model_id, layer, spans.head, rank
