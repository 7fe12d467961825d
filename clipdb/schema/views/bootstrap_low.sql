-- Lower end of the percentile bootstrap interval over heads of a share (bootstrap_interval).
-- param successes: heads that have it
-- param n: heads
-- param level = .95: coverage of the interval, 0..1
bootstrap_interval(successes, n, level := level).low
