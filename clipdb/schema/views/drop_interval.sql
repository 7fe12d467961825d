-- The 95-percent interval of by how much a share falls, {low, high}, from the share before and after over n trials each:
-- R. G. Newcombe, Interval estimation for the difference between independent proportions (Statistics in Medicine 17,
-- 1998, 873-890), method 10, which puts the ends of Wilson's intervals of both (wilson_interval) together. Where both
-- shares are of the same trials, as of images that are classified twice, it is wider than it would have to be.
-- param before_share: share before, 0..1
-- param after_share: share after
-- param n: trials
list_transform(
    [{'one': wilson_interval(before_share * n, n), 'other': wilson_interval(after_share * n, n)}],
    lambda w: {
        'low': before_share - after_share - sqrt((before_share - w.one.low) ** 2 + (w.other.high - after_share) ** 2),
        'high': before_share - after_share + sqrt((w.one.high - before_share) ** 2 + (after_share - w.other.low) ** 2)
    }
)[1]
