-- How many standard deviations to either side of its mean hold a share of a normal distribution: 1.96 for .95. It is
-- sqrt(2) erfinv(level), by the polynomials of M. Giles, Approximating the erfinv function (GPU Computing Gems Jade
-- Edition, 2012, chapter 10), whose relative error is under 1e-6.
-- param level = .95: the share, over 0 and under 1
list_transform(
    [if(level > 0 and level < 1, -ln(1 - level * level), error('level is a fraction between 0 and 1, for example .95'))],
    lambda w: sqrt(2) * level * list_reduce(
        if(
            w < 5,
            [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
             -0.00417768164, 0.246640727, 1.50140941],
            [-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
             0.00943887047, 1.00167406, 2.83297682]
        ),
        lambda total, coefficient: total * if(w < 5, w - 2.5, sqrt(w) - 3) + coefficient
    )
)[1]
