-- Heads that carry a property
--
-- Finds the property by any part of its name; 'color' finds 'colour'.
--
-- $property property required: The property, or a part of its name.
-- $model model optional: Only heads of this model.
-- needs: labels
-- empty: no head has a clear name, see `clipdb query heads` for the reasons

select
    model_id, name as head, property, labeller, share, probability, confidence, spans, cumulative_variance as variance
from head_cards(top_n := 3) as cards
where contains(same_spelling(property), same_spelling($property))
    and ($model is null or model_id = $model)
order by model_id, normal_property(property), coalesce(confidence, share) desc nulls last, layer, cards.head
