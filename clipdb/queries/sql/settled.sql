-- How many images names and spans need
--
-- Each head is spanned and named by vote from two samples of n images that share none, for growing n, up to half of the
-- images. labels and first_span are the shares of heads with one name, and one first span, from both samples; first_five is
-- the mean share of the first five spans that both have; subspace the mean squared cosine between the first five principal
-- directions of the head's vectors in both. settled says whether labels agree for at least agree of the heads at this n and
-- all larger ones: the first n that is settled is what names need. Where none is, take more images. The model doesn't run.
-- Names that are settled are not therefore right. labels is empty where the pool's texts have no properties.
--
-- $pool pool optional: The pool to span with; may be left out where the model has spans of one.
-- $spans integer = 20: How many spans vote.
-- $pairs integer = 2: How many pairs of samples of each size are averaged, where there are images enough.
-- $agree number = 0.95: The share of heads whose names have to agree.
-- $model model required: The model; may be left out where the index has one.
-- note: select note from cut_models where model_id = $model
-- needs: images, spans

select images, pairs, labels, first_span, first_five, subspace, heads, settled
from settled($model, pool := $pool, spans := $spans, pairs := $pairs, agree := $agree)
