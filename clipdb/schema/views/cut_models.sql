-- Models of which some heads are stored with fewer numbers than hold all that they write (--rank-factor).
-- column model_id: Model with weights
-- column heads: How many heads are cut
-- column size: Numbers that each of them keeps
-- column tail: Largest share of the squared norm of what a head writes that its vectors lack, 0..1
-- column worst: That head
-- column storage_error: Largest L2 norm of what is lost of an image's embedding, as a fraction of the embedding's norm
-- column note: All of it in a sentence
select
    model_id, count(*) as heads, max(size) as size, max(tail) as tail, arg_max(name, tail) as worst, storage_error,
    format(
        'up to {:.2g} of an image''s embedding is lacking: vectors of {} heads of the trunk are cut to {} numbers '
        || '(--rank-factor {}), which loses up to {:.2g} of the squared norm of what a head writes ({})',
        storage_error, count(*), max(size), max(size) // any_value(head_dim), max(tail), arg_max(name, tail)
    ) as note
from (select model_id, name, size, tail from heads where tail is not null)
join models using (model_id)
group by model_id, storage_error
