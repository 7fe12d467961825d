-- Lower end of Wilson's interval of a share of independent trials (wilson_interval).
-- param successes: trials that have it
-- param n: trials
-- param level = .95: coverage of the interval, 0..1
wilson_interval(successes, n, level := level).low
