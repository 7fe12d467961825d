-- Whether a judge puts heads in the order that people do: Spearman's rank correlation, average ranks for ties, of the
-- judge's score of each head's name with people's rating of it. A head counts where the judge, and for the rating fit a
-- person, has at least min_agree verdicts on its first top_n spans. Current names lack those that people rejected;
-- the names of a labeller have them.
-- param min_agree = 3: how many spans must fit, and be judged
-- param top_n = 5: how many spans to look at
-- column model_id: Model with weights; null is over all models
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the heads, or current
-- column judge: Who judged: anybody but people, or majority
-- column independent: false for vote, for names that the judge gave itself, and for a majority that people are in
-- column note: not independent, and why; and why spearman is null: fewer than 3 heads, or one value only
-- column score: The judge's: ccs (how many spans fit) or association (1 where min_agree of them fit, else 0)
-- column rating: People's, their mean: fit (how many spans fit) or confidence (how well they say that the name fits)
-- column heads: Heads that have both
-- column spearman: Rank correlation, -1..1
with said as ( -- what each person last said of how well a name fits
    select
        model_id, layer, head, normal_property(property) as property_key,
        arg_max(confidence, (created_at, run)) as confidence
    from labels
    where labeller_rank(labeller) = 1 and status in ('ok', 'rejected') and confidence is not null
    group by model_id, layer, head, normal_property(property), labeller
),
confident as (
    select model_id, layer, head, property_key, avg(confidence) as confidence from said group by all
),
judged as (
    select model_id, pool, labeller, layer, head, property_key, judge, independent, judged, scored.ccs
    from source_ccs(top_n := top_n) as scored
    where judged > 0
),
fitting as (
    select model_id, pool, labeller, layer, head, avg(judged.ccs) as fit
    from judged
    where starts_with(judge, 'human:') and judged >= min_agree
    group by all
),
with_people as (select distinct model_id, 'majority' as judge from judged where starts_with(judge, 'human:')),
heads_rated as (
    select
        judged.model_id, judged.pool, judged.labeller, judged.judge, judged.ccs, independent, fit, confidence,
        with_people.judge is not null as with_people
    from judged
    left join fitting
        on judged.model_id = fitting.model_id and judged.pool is not distinct from fitting.pool
        and judged.labeller = fitting.labeller and judged.layer = fitting.layer and judged.head = fitting.head
    left join confident
        on judged.model_id = confident.model_id and judged.layer = confident.layer and judged.head = confident.head
        and judged.property_key = confident.property_key
    left join with_people on judged.model_id = with_people.model_id and judged.judge = with_people.judge
    where judged >= min_agree and not starts_with(judged.judge, 'human:') and coalesce(fit, confidence) is not null
),
-- Scores and ratings take few values, so ranks come from how many heads have each: n of a cell.
cells as (
    select
        model_id, pool, labeller, judge, rating, rated, ccs, count(*) as n, count_if(not independent) as own,
        bool_or(with_people) as with_people
    from (select *, unnest(['fit', 'confidence']) as rating, unnest([fit, confidence]) as rated from heads_rated)
    where rated is not null
    group by all
),
scoped as (
    select
        * exclude (model_id, ccs), unnest([model_id, null, model_id, null]) as model_id,
        unnest(['ccs', 'ccs', 'association', 'association']) as score,
        unnest([ccs, ccs, (ccs >= min_agree)::integer, (ccs >= min_agree)::integer]) as scored
    from cells
),
ranked as (
    select
        *,
        sum(n) over (scores range unbounded preceding) - (sum(n) over (scores range current row) - 1) / 2
            - (sum(n) over everyone + 1) / 2 as score_rank, -- average rank, less its mean
        sum(n) over (ratings range unbounded preceding) - (sum(n) over (ratings range current row) - 1) / 2
            - (sum(n) over everyone + 1) / 2 as rating_rank
    from scoped
    window
        everyone as (partition by model_id, pool, labeller, judge, rating, score),
        scores as (partition by model_id, pool, labeller, judge, rating, score order by scored),
        ratings as (partition by model_id, pool, labeller, judge, rating, score order by rated)
),
counted as (
    select
        model_id, pool, labeller, judge, score, rating, sum(n)::bigint as heads, sum(own)::bigint as own,
        bool_or(with_people) as with_people,
        sum(n * score_rank * rating_rank) as covariance,
        sum(n * score_rank ** 2) * sum(n * rating_rank ** 2) as variances
    from ranked
    group by model_id, pool, labeller, judge, score, rating
)
select
    model_id, pool, labeller, judge, own = 0 and not with_people as independent,
    nullif(concat_ws(
        '; ',
        case when judge = 'vote' then 'not independent'
            when with_people then 'not independent: people are in it'
            when own > 0 then format('not independent: {} own', own) end,
        case when heads < 3 then 'fewer than 3 heads' when variances = 0 then 'one value only' end
    ), '') as note,
    score, rating, heads,
    if(heads < 3, null, covariance / nullif(sqrt(variances), 0)) as spearman
from counted
