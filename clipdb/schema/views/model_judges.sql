-- Who judged each model; 'majority' is one more judge where at least two other than vote gave verdicts on it.
-- column model_id: Model with weights
-- column judge: Who judged, or majority
with counted as (
    select model_id, judge, bool_or(status = 'ok' and judge <> 'vote') as counts
    from judgements
    group by model_id, judge
)
select model_id, judge from counted
union all
select model_id, 'majority' from counted group by model_id having count_if(counts) >= 2
