-- Heads, their names and their spans
--
-- One row per head: its current property, who named it, and the descriptions that explain most of what varies in it,
-- with the share of its variance that these explain together. share is what the labellers zero-shot and vote measured:
-- for zero-shot, of the head's variance, what lies between images told apart by the property; for vote, of the variance
-- that its spans explain, what the property's explain. Neither is a probability. probability is how often the labeller
-- is right with such a share, by the heads that have evidence (the view name_probabilities; empty where fewer than 10
-- have). tested is true where the name was measured against the truth (docs/test-a-name.md) and holds, false where
-- another property was found, and empty where nothing was measured or nothing clear found. confidence is what a person,
-- a language model or a published name says. note says why a labeller found no clear name. aligner_r2 is how good the
-- aligner is (`clipdb align`) through which texts reach a model without a text tower, and with them spans and names.
-- Where vectors are cut (ingest --rank-factor), a note says what they lack; heads.tail has it for each head.
--
-- $property property optional: Only heads whose property is this, or has it as a part.
-- $layer integer optional: Only heads of this layer, counted from 0.
-- $top integer = 3: How many spans of each head to list.
-- $model model optional: Only heads of this model.
-- $pool pool optional: Spans and names from this pool, in place of those that count now.
-- needs: heads
-- note: select model_id || ': ' || note from cut_models where $model is null or model_id = $model

select
    model_id, name as head, property, labeller, tested, share, probability, confidence, spans, cumulative_variance as variance,
    note, aligners.r2 as aligner_r2
from head_cards(top_n := $top, only_pool := $pool) as cards
left join aligners using (model_id)
where ($model is null or model_id = $model)
    and ($layer is null or layer = $layer)
    and ($property is null or contains(same_spelling(property), same_spelling($property)))
order by model_id, layer, cards.head
