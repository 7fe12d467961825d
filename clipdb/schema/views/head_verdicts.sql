-- The verdicts that count: for each span that stands for a labelled head, each judge's latest on whether it fits the
-- head's current property, and the majority's. Calls that failed are no verdicts. Verdicts on a property that the head
-- no longer has are not here (latest_verdicts has them).
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column property: The head's current property
-- column rank: Order of the span among the head's spans, counted from 1
-- column text_id: The span
-- column text: The span itself
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column verdict: true: it fits, false: it does not, null: the judge could not say, or the majority is a tie or empty
-- column yes: Judges who say that it fits: 1 or 0, or more for the majority
-- column no: Judges who say that it does not; a majority of as many is a tie
-- column independent: false for the judge vote, and where the judge, or one of the majority, gave the name itself
-- column note: not independent, and why where the judge is not vote
-- column run: Run that wrote the verdict; for the majority the last one of its judges'
with verdicts as (
    select
        model_id, layer, head, property, rank, text_id, text, judge, verdict, yes, no, latest_verdicts.run,
        if(judge = 'majority', bool_or(judge = labeller and verdict is not null) over whole, judge = labeller)
            and yes + no > 0 as own
    from head_properties
    join latest_verdicts using (model_id, layer, head, property_key)
    join head_spans using (model_id, layer, head, text_id)
    window whole as (partition by model_id, layer, head, rank)
)
select
    model_id, layer, head, property, rank, text_id, text, judge, verdict, yes, no,
    judge <> 'vote' and not own as independent,
    case when judge = 'vote' then 'not independent' when own then 'not independent: own name' end as note,
    run
from verdicts
