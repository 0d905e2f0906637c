// Exact upper confidence bounds on the mean of losses that are counts: of 0 and 1, and of -1, 0 and 1.
//
// The trinomial's bound is Buehler's (1957): outcomes (a losses, b gains, of n) are put in one order by a designated
// statistic, here the usual approximate upper limit
//     s(a, b) = (a - b) + z sqrt(a + b + z²),
// and the bound is the largest mean δ = p(loss) - p(gain) under which an outcome as low as the seen one still has a
// probability above 1 - level, for the worst nuisance parameter ψ = p(loss) + p(gain). s rises with a and falls with b,
// so that this probability falls as δ rises, and bisection finds the bound. Since s is nearly pivotal, the worst case
// over ψ costs little: about one count. As Berger and Boos (1994), ψ is only searched where a two-sided Clopper-Pearson
// interval of error 1/50 of 1 - level has it, and that error is added to the probability.
#pragma once

#include <cstdint>

namespace dnateq {

// Upper bound on the probability of what was seen `count` times of n (Clopper and Pearson 1934).
double binomial_upper_bound(int64_t count, int64_t n, double level);

// Upper bound, at least 0, on p(loss) - p(gain).
double trinomial_upper_bound(int64_t losses, int64_t gains, int64_t n, double level);

}  // namespace dnateq
