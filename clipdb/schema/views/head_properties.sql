-- The current property of each labelled head, one a head. Of what its sources call it (head_labels), a human's name goes
-- first, then one by evidence, an LLM's, an import's, zero-shot's, the vote's; among equals the newest counts. A property that a
-- person rejected for the head is struck, whoever gave it, until a person gives it again; what is next then counts.
-- param only_pool = null: only names from this pool's spans or descriptions; all where null
-- param left_out = null: a labeller whose names don't count: 'evidence' for the names that it puts to the test
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property as the labeller wrote it
-- column property_key: The property as properties are compared (normal_property)
-- column pool: Pool whose spans or descriptions the labeller saw
-- column labeller: Who named it
-- column confidence: How sure a person, a language model or a published name is, 0..1, where it says
-- column share: For the labellers evidence, zero-shot and vote, the share that they measured: no probability
-- column tested: Whether the labeller evidence says the same; false if it names another property, null if none is clear or this one wasn't compared
-- column rationale: The labeller's reason, where it gave one
-- column created_at: When the label was given (UTC)
-- column run: Run that wrote the label
with struck as (
    select model_id, layer, head, normal_property(property) as property_key
    from labels
    where labeller_rank(labeller) = 1 and status in ('ok', 'rejected')
    group by model_id, layer, head, property_key
    having arg_max(status, (created_at, run, status)) = 'rejected' -- people's latest word on this property
),
named as (
    from head_labels anti join struck using (model_id, layer, head, property_key)
    where (only_pool is null or pool = only_pool) and labeller is distinct from left_out
),
chosen as (
    select unnest(arg_max(named, (-labeller_rank(labeller), created_at, run, labeller, pool)))
    from named
    group by model_id, layer, head
)
select
    model_id, layer, head, name, property, property_key, pool, labeller, confidence, share,
    if(list_contains(compared, property_key), found = property_key, null) as tested,
    rationale, created_at, run
from chosen left join measured_names using (model_id, layer, head)
