-- The interval of a share of independent trials, {low, high}: E. B. Wilson, Probable inference (Journal of the American
-- Statistical Association 22, 1927), without continuity correction. With z = normal_quantile(level) its ends are
-- (successes + z^2 / 2 -+ z sqrt(successes (n - successes) / n + z^2 / 4)) / (n + z^2). It has a width where all or none
-- succeed, too. Null where n is 0.
-- param successes: trials that succeeded
-- param n: trials
-- param level = .95: coverage of the interval, 0..1
list_transform(
    if(n > 0 and successes >= 0, [normal_quantile(level := level)], null),
    lambda z: {
        'low': if(successes = 0, 0, (successes + z * z / 2 - z * sqrt(successes * (n - successes) / n + z * z / 4)) / (n + z * z)),
        'high': if(successes = n, 1, (successes + z * z / 2 + z * sqrt(successes * (n - successes) / n + z * z / 4)) / (n + z * z))
    }
)[1]
