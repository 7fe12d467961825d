-- What people say of each labeller's names
--
-- How many of the heads that a labeller named people saw, and their decisions: accepted where they give the same name,
-- renamed where they give another, rejected where they say only that it is wrong. Two people make two decisions.
--
-- $labeller text optional: Only names of this labeller.
-- $model model optional: Only this model.
-- needs: labels

select
    model_id, labeller, labelled_heads, seen_heads, reviewers, accepted, renamed, rejected, accepted_share,
    disputed_heads
from reviews
where ($model is null or model_id = $model) and ($labeller is null or labeller = $labeller)
order by model_id, labeller_rank(labeller), labeller
