-- What people say of each labeller's names
--
-- How many of the heads that a labeller named people saw, and their decisions: accepted where they give the same name,
-- renamed where they give another, rejected where they say only that it is wrong. Two people make two decisions;
-- disputed counts the heads on which people don't agree.
--
-- $labeller text optional: Only names of this labeller.
-- $model model optional: Only this model.
-- needs: labels

select
    model_id, labeller, labelled_heads as labelled, seen_heads as seen, accepted, renamed, rejected, accepted_share,
    reviewers, disputed_heads as disputed
from reviews
where ($model is null or model_id = $model) and ($labeller is null or labeller = $labeller)
order by model_id, labeller_rank(labeller), labeller
