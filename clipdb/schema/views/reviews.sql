-- What people say of each labeller's names. A person has one decision on a labeller's newest name of a head, by their
-- newest label or rejection that bears on it: accepted where they give the same name, renamed where they give another,
-- rejected where they say only that it is wrong. Two people who reviewed a head make two decisions.
-- column model_id: Model with weights
-- column labeller: Whose names they are
-- column labelled_heads: Heads that the labeller named
-- column seen_heads: Those that at least one other person decided on
-- column disputed_heads: Those that people decided on differently
-- column reviewers: People who decided
-- column decisions: accepted + renamed + rejected
-- column accepted: Decisions for the labeller's name
-- column renamed: Decisions for another name
-- column rejected: Decisions against the labeller's name, without another
-- column accepted_share: accepted / decisions, 0..1; null where nobody decided
with names as (
    select model_id, layer, head, rater as labeller, value as property_key
    from ratings
    where kind = 'labels' and rejected is null
),
said as (
    select model_id, layer, head, labeller as reviewer, status, normal_property(property) as said_key, created_at, run
    from labels
    where labeller_rank(labeller) = 1 and status in ('ok', 'rejected') and normal_property(property) is not null
),
decisions as (
    select
        model_id, layer, head, labeller, reviewer,
        case when status = 'rejected' then 'rejected' when said_key = property_key then 'accepted' else 'renamed' end
            as decision
    from names join said using (model_id, layer, head)
    where reviewer <> labeller and (status = 'ok' or said_key = property_key)
    qualify row_number() over (
        partition by model_id, layer, head, labeller, reviewer order by created_at desc, run desc
    ) = 1
),
by_head as (
    select
        model_id, layer, head, labeller, list(reviewer) as reviewers, count(decision) as decisions,
        count(*) filter (decision = 'accepted') as accepted, count(*) filter (decision = 'renamed') as renamed,
        count(*) filter (decision = 'rejected') as rejected, count(distinct decision) as kinds
    from names left join decisions using (model_id, layer, head, labeller)
    group by model_id, layer, head, labeller
)
select
    model_id, labeller,
    count(*) as labelled_heads,
    count_if(by_head.decisions > 0)::bigint as seen_heads,
    count_if(kinds > 1)::bigint as disputed_heads,
    len(list_distinct(flatten(list(by_head.reviewers)))) as reviewers,
    sum(by_head.decisions)::bigint as decisions,
    sum(by_head.accepted)::bigint as accepted,
    sum(by_head.renamed)::bigint as renamed,
    sum(by_head.rejected)::bigint as rejected,
    sum(by_head.accepted) / nullif(sum(by_head.decisions), 0) as accepted_share
from by_head
group by model_id, labeller
