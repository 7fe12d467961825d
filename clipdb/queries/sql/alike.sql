-- Heads most alike
--
-- Pairs of heads, or one head's most similar heads. overlap is of what they can write: ||Q1^T Q2||^2 / rank, the mean
-- squared cosine of the principal angles between their subspaces of the joint space; two random ones of k of D
-- dimensions have k / D. cka is of what they say of the images: linear CKA of their vectors (Kornblith et al., arXiv
-- 1905.00414), 1 where the images lie in the same way up to rotation and scale. Few images make cka too high.
--
-- $head head optional: Only pairs with this head.
-- $by choice(cka|overlap) = cka: What to sort by.
-- $images integer = 10000: How many images to compare over, a fixed random sample; 0 for all.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: heads
-- limit: 20

select
    pairs.head, other, pairs.cka, pairs.overlap, own.property, others.property as other_property, images
from alike($model, $head, $images) as pairs
join heads as one on one.model_id = $model and one.name = pairs.head
join heads as two on two.model_id = $model and two.name = other
left join head_properties as own on own.model_id = $model and own.name = pairs.head
left join head_properties as others on others.model_id = $model and others.name = other
where $head is not null or (one.layer, one.head) < (two.layer, two.head)
order by if($by = 'cka', pairs.cka, pairs.overlap) desc nulls last, one.layer, one.head, two.layer, two.head
