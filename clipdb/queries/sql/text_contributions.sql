-- Why a text matches an image, by the text tower: its heads, or the words that they read
--
-- The same cosine as in the query contributions, split on the side of the text: what each head of the text tower adds to
-- it, the largest first, or what all heads read at each token, in the text's order. The rest, 'no head', is what MLPs,
-- biases and the pooled token's own embedding add. The model reads the text each time, since nothing of it is stored.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $text text required: The text.
-- $by choice(head|layer|token) = head: What shares are summed by.
-- $model model required: The model; may be left out where the index has one.

select
    case when $by = 'token' then place end as place,
    case
        when shares.head is null or $by = 'head' then name
        when $by = 'layer' then format('T.L{}', layer)
        else token
    end as part,
    count(distinct name) filter (shares.head is not null) as heads, sum(share) as share
from text_contributions($model, $image, $text) as shares
group by 1, 2, shares.head is null
order by shares.head is null, place, abs(sum(share)) desc, part
