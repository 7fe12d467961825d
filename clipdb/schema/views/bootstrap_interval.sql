-- The percentile bootstrap interval over heads of a share, {low, high}, exact and without random numbers. Drawing n heads
-- with replacement and counting those that have what successes of the n have gives Binomial(n, successes / n): an end
-- of the interval is the smallest count k with P(count <= k) >= q, over n. Null where n is 0; a share of 0 or 1 is a
-- point.
-- param successes: heads that have it
-- param n: heads
-- param level = .95: coverage of the interval, 0..1
case
    when not (level > 0 and level < 1) then error('level is a fraction between 0 and 1, for example .95')
    when successes > 0 and successes < n then list_transform(
        [list_reduce(
            -- Counts further from the mean than this have a probability under 1e-10 together.
            [
                {
                    'cdf': exp(
                        lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
                            + k * ln(successes / n) + (n - k) * ln(1 - successes / n)
                    ),
                    'low': k, 'high': k
                }
                for k in range(
                    greatest(0, floor(successes - 6.5 * sqrt(successes * (1 - successes / n)) - 8)::bigint),
                    least(n, ceil(successes + 6.5 * sqrt(successes * (1 - successes / n)) + 8)::bigint) + 1
                )
            ],
            -- Rounding of the sum, under 1e-10 for thousands of heads, must not move an end that is hit exactly.
            lambda so_far, next: {
                'cdf': so_far.cdf + next.cdf,
                'low': if(so_far.cdf < (1 - level) / 2 - 1e-9, next.low, so_far.low),
                'high': if(so_far.cdf < (1 + level) / 2 - 1e-9, next.high, so_far.high)
            }
        )],
        lambda ends: {'low': ends.low / n, 'high': ends.high / n} -- a lambda, for the sum is then computed once
    )[1]
    else {'low': successes / nullif(n, 0), 'high': successes / nullif(n, 0)}
end
