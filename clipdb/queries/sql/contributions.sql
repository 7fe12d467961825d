-- Why an image and a text have the cosine that they have
--
-- What each head adds to it, the largest first, then MLPs (L11.MLP) and the stem with all biases (REST), where the index
-- has them; the shares and the rest add up to the cosine. The rest, 'not stored', is what the index lacks: layers that
-- were not ingested, and MLPs and biases without --mlps and --constants. With --text-b the shares are
-- those of the difference: why the image is nearer to the text than to text-b. Of a model trained with a sigmoid
-- (models.logit_bias) it is still the cosine that the shares add up to: its score is the sigmoid of logit_scale * cosine +
-- logit_bias.
--
-- $image image required: The image: a file, its name or uri in the index, or the beginning of its id.
-- $text text required: The text.
-- $text_b text optional: A second text, whose shares are subtracted.
-- $by choice(head|layer|property) = head: What shares are summed by.
-- $partition choice(pool|trunk) optional: Heads of the pooling or of the trunk, where the index has both.
-- $model model required: The model; may be left out where the index has one.
-- note: select note || '; ''not stored'' has what they lack' from cut_models
--     where model_id = $model and $partition is distinct from 'pool'

select
    case
        when shares.head is null and name like '%MLP' and $by = 'property' then 'MLPs'
        when shares.head is null or $by = 'head' then name
        when $by = 'layer' then if(layer < 0, 'pooling', 'layer ' || layer)
        else coalesce(normal_property(property), 'unlabelled')
    end as part,
    case when $by = 'head' then any_value(normal_property(property)) end as property,
    count(shares.head) as heads, sum(share) as share
from contributions($model, $image, $text, $text_b, partition := $partition) as shares
group by part, shares.head is null
order by part = 'not stored', shares.head is null, abs(sum(share)) desc, part
