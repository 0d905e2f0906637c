// Upper confidence bound on the mean of bounded values by betting (Waudby-Smith and Ramdas 2024): against the
// hypothesis "the mean is at least m" one bets on every next value x being below m; the capital
//     K ← K (1 + λ (m - x)),  0 <= λ <= 1 / (highest - m),  λ chosen before x is seen,
// is a non-negative supermartingale where the hypothesis is true, so that it ever grows from 1 to 1 / (1 - level) with
// a probability of at most 1 - level (Ville), whatever the strategy.
//
// Ours knows how many values are to come. It hedges the digital option that pays at the goal: with u = K (1 - level)
// the share of the goal that is reached, r values to come and their estimated standard deviation σ,
//     λ = φ(d) / (u σ sqrt(r)),  d = Φ⁻¹(u),
// which for values near normal turns into the one-sided z-test, and for values without spread into "rule of three"
// ((1 - m)^n against the level), the least that any valid bound can be. Empirical Bernstein (Maurer-Pontil) needs a
// deviation of 2.7 σ/sqrt(n) + 8.6 range/n at level .95, this one about 1.65-1.8 σ/sqrt(n), and 3 range/n at least.
//
#pragma once

#include <functional>
#include <span>

namespace dnateq {

// Whether "the mean is at least m" is refuted at `level` by the values, in their order, all within [lowest, highest].
bool refuted_by_betting(std::span<const double> values, double lowest, double highest, double m, double level);

// From tests of single means to a bound: the lowest m of a fixed grid, 32 to the octave below `highest`, that is
// refuted together with all above it. The grid is fixed, and no test depends on another one's outcome, since a search
// over m for what the values happen to refute would loosen the bound: of a true mean only the next lower value of the
// grid counts. Far from the bound only 4 to the octave are tested, for 1/50 of the error.
double upper_bound_on_grid(double highest, double level, int octaves,
                           const std::function<bool(double m, double level)>& refuted);

// Upper bound, at least 0. `highest` > 0.
double betting_upper_bound(std::span<const double> values, double lowest, double highest, double level);

}  // namespace dnateq
