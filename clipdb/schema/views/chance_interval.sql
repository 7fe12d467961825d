-- How many of n heads chance gives, as shares {low, high}: the normal approximation to a count with this mean and
-- variance, rounded outwards to whole heads. For names drawn at random (source_entanglement) it covers at least
-- what it says. Null where the mean is.
-- param mean: expected count
-- param variance: its variance
-- param n: heads
-- param level = .95: coverage of the interval, 0..1
list_transform(
    -- Rounding may leave a variance a little under 0; abs turns -0 into 0.
    if(mean is null, null, [normal_quantile(level := level) * sqrt(greatest(variance, 0))]),
    lambda reach: {
        'low': greatest(0, floor(mean - reach + 1e-9)) / n, 'high': least(n, abs(ceil(mean + reach - 1e-9))) / n
    }
)[1]
