-- The verdicts that count: for each span that stands for a labelled head, each judge's latest on whether it fits the
-- head's current property. Calls that failed are no verdicts. Verdicts on a property that the head no longer has
-- are not here.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column property: The head's current property
-- column rank: Order of the span among the head's spans, counted from 1
-- column text_id: The span
-- column text: The span itself
-- column judge: Who judged
-- column verdict: true: it fits, false: it does not, null: the judge could not say
-- column independent: false for the judge vote, whose verdicts come from the same tags as its labels
-- column note: not independent, for the judge vote
-- column run: Run that wrote the verdict
with latest as (
    select model_id, layer, head, text_id, normal_property(property) as property_key, judge, verdict, run
    from judgements
    where status = 'ok'
    qualify row_number() over (
        partition by model_id, layer, head, text_id, normal_property(property), judge
        order by run desc, property
    ) = 1
)
select
    model_id, layer, head, head_properties.property, rank, text_id, text,
    judge, verdict, judge <> 'vote' as independent, if(judge = 'vote', 'not independent', null) as note, latest.run
from head_properties
join latest using (model_id, layer, head, property_key)
join head_spans using (model_id, layer, head, text_id)
