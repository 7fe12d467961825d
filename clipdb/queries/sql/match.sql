-- Heads of another model that are most alike
--
-- Which head is this one in the other model? For each head of a, the heads of b whose vectors say the same of the images
-- that both have seen, by linear CKA (Kornblith et al., arXiv 1905.00414): 1 where the images lie in the same way up to
-- rotation and scale. explained is the share of the head's variance that is linear in the other's vectors. mutual is true
-- where each of the two is the other's first. Few images make cka too high.
--
-- $head head optional: Only this head of a.
-- $a model optional: The model whose heads are looked for; may be left out where the index has two.
-- $b model optional: The model in which they are looked for; may be left out likewise.
-- $k integer = 1: How many heads to list for each.
-- $images integer = 10000: How many images to compare over, a fixed random sample; 0 for all.
-- needs: heads

with pairs as (
    select
        *, row_number() over (partition by pairs.head order by cka desc nulls last, other) as rank,
        row_number() over (partition by other order by cka desc nulls last, pairs.head) as rank_back
    from match_heads($a, $b, null, $images) as pairs
)
select
    pairs.head, pairs.rank, other, pairs.cka, pairs.explained, rank_back = 1 and pairs.rank = 1 as mutual, own.property,
    others.property as other_property, pairs.overlap, images, a, b
from pairs
join heads as one on one.model_id = a and one.name = pairs.head
left join head_properties as own on own.model_id = a and own.name = pairs.head
left join head_properties as others on others.model_id = b and others.name = other
where pairs.rank <= $k and ($head is null or pairs.head = $head)
order by one.layer, one.head, pairs.rank
