-- Verdicts on a head's spans
--
-- Each judge's latest on whether a span fits the head's current property; 'majority' is over all judges but vote, where
-- the model has two of these. yes and no count judges. A note says which verdicts are not independent of the name.
--
-- $head head required: The head, as L11.H3.
-- $judge text optional: Only this judge, or 'majority'.
-- $model model required: The model; may be left out where the index has one.
-- needs: heads
-- empty: nobody has judged this head's spans, or it has no name: `clipdb label`, then `clipdb judge`

select rank, text as span, property, judge, verdict, yes, no, note
from head_verdicts
where model_id = $model and format('L{}.H{}', layer, head_verdicts.head) = $head and ($judge is null or judge = $judge)
order by rank, judge
