-- How likely the names by zero-shot and vote are right, one row per name: learnt from the heads whose names the labeller
-- evidence could tell right from wrong. Of those whose share by the same labeller is nearest to the name's, at most 20
-- and without the head itself, it is how many names are right: (right + 1) / (count + 2), Laplace's rule of succession.
-- A name without 10 such heads has no row. Heads of other models in the index count as well.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column labeller: zero-shot or vote
-- column pool: Pool whose spans or descriptions it saw
-- column run: Run that wrote the label
-- column probability: That the name is right, 0..1
-- column tested_heads: From how many heads that was learnt
with shares as (
    select model_id, layer, head, labeller, pool, run, share, property_key
    from head_labels where labeller in ('zero-shot', 'vote') and share is not null
),
tested as (
    select shares.*, property_key = found as is_right
    from shares join measured_names using (model_id, layer, head)
    where found is not null and list_contains(compared, property_key)
),
nearest as (
    select shares.*, is_right
    from shares join tested on shares.labeller = tested.labeller
        and (shares.model_id, shares.layer, shares.head) != (tested.model_id, tested.layer, tested.head)
    qualify row_number() over (
        partition by shares.model_id, shares.layer, shares.head, shares.labeller, shares.pool
        order by abs(shares.share - tested.share), tested.model_id, tested.layer, tested.head, tested.pool
    ) <= 20
)
select
    model_id, layer, head, labeller, pool, run,
    (count_if(is_right) + 1) / (count(*) + 2) as probability, count(*) as tested_heads
from nearest
group by all
having count(*) >= 10
