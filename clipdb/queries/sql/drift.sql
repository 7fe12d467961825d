-- Heads that a fine-tune changed most
--
-- Each head of a model beside the same head of the model that it was fine-tuned from, the most changed first. change is
-- the mean squared distance between what the two write into the joint space, each about its mean, as a share of the sum
-- of their variances: 0 where nothing changed, 1 where the new output has nothing to do with the old, or one of them is
-- gone. Where it is not recorded that one was fine-tuned from the other, it is 1 - cka. variance is the head's share of
-- that of all heads, before and after.
--
-- $model model optional: The fine-tuned model; may be left out where one model of the index has a recorded base.
-- $base text optional: What it was fine-tuned from, if that is not recorded (clipdb ingest images --base).
-- $images integer = 10000: How many images to compare over, a fixed random sample; 0 for all.
-- needs: heads

with shares as (
    select
        model_id, name, layer, heads.head,
        total_variance / sum(total_variance) over (partition by model_id, layer < 0) as share -- heads of a pooling apart
    from heads
)
select
    row_number() over (order by change desc nulls last, one.layer, one.head) as rank, drift.head, change, cka,
    own.property, others.property as property_after, one.share as variance, two.share as variance_after,
    drift.overlap, images, base, model as model_id
from drift_heads($model, $base, $images) as drift
join shares as one on one.model_id = base and one.name = drift.head
join shares as two on two.model_id = model and two.name = drift.head
left join head_properties as own on own.model_id = base and own.name = drift.head
left join head_properties as others on others.model_id = model and others.name = drift.head
order by rank
