// SPDX-License-Identifier: BSD-3-Clause
//
// One step of an optimizer for one parameter: the formulas of RULES in softmax_xp/kernels/rules.py, which says what the
// scalars are. The text before this one defines two macros:
//
//   REAL  float or double
//   RULE  the number of a formula, RULE_SGD to RULE_LION
//
// and gets one function,
//
//   REAL apply_rule(REAL param, REAL grad, REAL *accumulators, const REAL *scalars)
//
// which returns the new parameter and overwrites the accumulators. Both pointers are to a thread's own copies (or, for
// the scalars, to memory that nobody writes to); every index is a constant, so after inlining they are registers.
// Nothing here knows threads: a kernel that calls this for each element reads and writes each array once, that is
// 3 + 2 * (number of accumulators) numbers per parameter: parameter, gradient and accumulators in, the rest out.
//
// The bits are those of the NumPy kernel and of the optimizers themselves, given the same gradient. Three things see to
// that. The operations come in the same order. Division and square root are the correctly rounded ones (no intrinsics,
// no --use_fast_math). And a product that is added to something is rounded first: `product` keeps the compiler from
// merging the two operations into one, which is more exact by a bit but unlike every other device; Lion's sign and the
// difference of squares under RMSprop's root can turn that bit into another step altogether. It costs no time that
// could be seen: the arithmetic hides behind the memory.

#define RULE_SGD 0
#define RULE_MOMENTUM 1
#define RULE_NESTEROV 2
#define RULE_ADAGRAD 3
#define RULE_RMSPROP 4
#define RULE_RMSPROP_MOMENTUM 5
#define RULE_RMSPROP_CENTERED 6
#define RULE_RMSPROP_CENTERED_MOMENTUM 7
#define RULE_ADADELTA 8
#define RULE_ADAM 9
#define RULE_AMSGRAD 10
#define RULE_NADAM 11
#define RULE_LION 12

#if !defined(REAL) || !defined(RULE)
#error "REAL and RULE must be defined before this text"  // a macro that is not defined would count as 0, thus as SGD
#endif

#ifdef __CUDACC__
__device__ __forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }
#else  // a compiler for the host, told with -ffp-contract=off
__device__ __forceinline__ float product(float a, float b) { return a * b; }
__device__ __forceinline__ double product(double a, double b) { return a * b; }
#endif

// Named apart from `sqrt`, whose double version a float would silently take where the overload is missing.
__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }
__device__ __forceinline__ double square_root(double x) { return sqrt(x); }

// Adds decay * param to a gradient or an update. The test is on a scalar, the same for all threads; without it, an
// infinite parameter would become NaN through 0 * infinity.
__device__ __forceinline__ REAL add_decay(REAL x, REAL param, REAL decay)
{
    return decay != 0 ? x + product(param, decay) : x;
}

// mu + share * (grad - mu), which is decay * mu + (1 - decay) * grad.
__device__ __forceinline__ REAL average_gradient(REAL grad, REAL mu, REAL share)
{
    return product(grad - mu, share) + mu;
}

// Two products, because the form above could round to below zero, and a root comes next.
__device__ __forceinline__ REAL average_squares(REAL grad, REAL nu, REAL decay, REAL share)
{
    return product(nu, decay) + product(product(grad, grad), share);
}

__device__ __forceinline__ REAL apply_rule(REAL param, REAL grad, REAL *accumulators, const REAL *scalars)
{
#if RULE == RULE_SGD
    const REAL factor = scalars[0], weight_decay = scalars[1];
    grad = add_decay(grad, param, weight_decay);
    return param + product(grad, factor);

#elif RULE == RULE_MOMENTUM
    const REAL factor = scalars[0], weight_decay = scalars[1], momentum = scalars[2], share = scalars[3];
    REAL &trace = accumulators[0];
    grad = add_decay(grad, param, weight_decay);
    trace = product(trace, momentum) + product(grad, share);
    return param + product(trace, factor);

#elif RULE == RULE_NESTEROV
    const REAL factor = scalars[0], weight_decay = scalars[1], momentum = scalars[2], trace_factor = scalars[3];
    REAL &trace = accumulators[0];
    grad = add_decay(grad, param, weight_decay);
    trace = product(trace, momentum) + grad;
    return param + (product(trace, trace_factor) + product(grad, factor));

#elif RULE == RULE_ADAGRAD
    const REAL factor = scalars[0], weight_decay = scalars[1], eps = scalars[2];
    REAL &sum_of_squares = accumulators[0];
    grad = add_decay(grad, param, weight_decay);
    sum_of_squares = product(grad, grad) + sum_of_squares;
    return param + product(grad, factor) / (square_root(sum_of_squares) + eps);

#elif RULE == RULE_RMSPROP
    const REAL factor = scalars[0], weight_decay = scalars[1], decay = scalars[2], share = scalars[3];
    const REAL eps = scalars[4];
    REAL &nu = accumulators[0];
    grad = add_decay(grad, param, weight_decay);
    nu = average_squares(grad, nu, decay, share);
    return param + product(grad, factor) / (square_root(nu) + eps);

#elif RULE == RULE_RMSPROP_MOMENTUM
    const REAL factor = scalars[0], weight_decay = scalars[1], decay = scalars[2], share = scalars[3];
    const REAL eps = scalars[4], momentum = scalars[5];
    REAL &nu = accumulators[0], &trace = accumulators[1];
    grad = add_decay(grad, param, weight_decay);
    nu = average_squares(grad, nu, decay, share);
    trace = product(trace, momentum) + grad / (square_root(nu) + eps);
    return param + product(trace, factor);

#elif RULE == RULE_RMSPROP_CENTERED
    const REAL factor = scalars[0], weight_decay = scalars[1], decay = scalars[2], share = scalars[3];
    const REAL eps = scalars[4];
    REAL &nu = accumulators[0], &mu = accumulators[1];
    grad = add_decay(grad, param, weight_decay);
    nu = average_squares(grad, nu, decay, share);
    mu = average_gradient(grad, mu, share);
    // A constant gradient rounds it to below 0. Not fmax, which would make 0 of a NaN.
    const REAL difference = nu - product(mu, mu), variance = difference < 0 ? 0 : difference;
    return param + product(grad, factor) / (square_root(variance) + eps);

#elif RULE == RULE_RMSPROP_CENTERED_MOMENTUM
    const REAL factor = scalars[0], weight_decay = scalars[1], decay = scalars[2], share = scalars[3];
    const REAL eps = scalars[4], momentum = scalars[5];
    REAL &nu = accumulators[0], &mu = accumulators[1], &trace = accumulators[2];
    grad = add_decay(grad, param, weight_decay);
    nu = average_squares(grad, nu, decay, share);
    mu = average_gradient(grad, mu, share);
    const REAL difference = nu - product(mu, mu), variance = difference < 0 ? 0 : difference;  // as above
    trace = product(trace, momentum) + grad / (square_root(variance) + eps);
    return param + product(trace, factor);

#elif RULE == RULE_ADADELTA
    const REAL factor = scalars[0], weight_decay = scalars[1], rho = scalars[2], share = scalars[3];
    const REAL eps = scalars[4];
    REAL &e_g = accumulators[0], &e_x = accumulators[1];
    grad = add_decay(grad, param, weight_decay);
    e_g = average_squares(grad, e_g, rho, share);
    const REAL delta = square_root((e_x + eps) / (e_g + eps)) * grad;
    e_x = average_squares(delta, e_x, rho, share);
    return param + product(delta, factor);

#elif RULE == RULE_ADAM || RULE == RULE_AMSGRAD
    const REAL factor = scalars[0], weight_decay = scalars[1], param_factor = scalars[2], share1 = scalars[3];
    const REAL b2 = scalars[4], share2 = scalars[5], offset = scalars[6];
    REAL &mu = accumulators[0], &nu = accumulators[1];
    grad = add_decay(grad, param, weight_decay);
    mu = average_gradient(grad, mu, share1);
    nu = average_squares(grad, nu, b2, share2);
#if RULE == RULE_AMSGRAD
    REAL &nu_max = accumulators[2];
    // The second condition is NaN's. Not fmax, which would drop it.
    nu_max = nu > nu_max || nu != nu ? nu : nu_max;
    const REAL denominator = square_root(nu_max) + offset;
#else
    const REAL denominator = square_root(nu) + offset;
#endif
    // mu / c1 and nu / c2, for c1 = 1 - b1**count and c2 = 1 - b2**count, are the moments corrected for their start
    // at 0. With numerator and denominator multiplied by sqrt(c2),
    //   -rate * (mu / c1) / (sqrt(nu / c2) + eps) = (-rate * sqrt(c2) / c1) * mu / (sqrt(nu) + eps * sqrt(c2)),
    // whose brackets and last product are host numbers: `factor` and `offset`.
    const REAL update = product(mu, factor) / denominator;
    return param + add_decay(update, param, param_factor);

#elif RULE == RULE_NADAM
    const REAL factor = scalars[0], weight_decay = scalars[1], mu_factor = scalars[2], share1 = scalars[3];
    const REAL b2 = scalars[4], share2 = scalars[5], offset = scalars[6];
    REAL &mu = accumulators[0], &nu = accumulators[1];
    grad = add_decay(grad, param, weight_decay);
    mu = average_gradient(grad, mu, share1);
    nu = average_squares(grad, nu, b2, share2);
    // As Adam, with a numerator of two terms that have a bias correction each.
    return param + (product(grad, factor) + product(mu, mu_factor)) / (square_root(nu) + offset);

#elif RULE == RULE_LION
    const REAL factor = scalars[0], param_factor = scalars[1], b1 = scalars[2], share1 = scalars[3];
    const REAL b2 = scalars[4], share2 = scalars[5];
    REAL &mu = accumulators[0];
    const REAL direction = product(grad, share1) + product(mu, b1);
    mu = product(mu, b2) + product(grad, share2);
    // The last case is NaN's, which must stay one.
    const REAL sign = direction > 0 ? 1 : direction < 0 ? -1 : direction == 0 ? 0 : direction;
    return param + add_decay(product(sign, factor), param, param_factor);

#else
#error "RULE must be the number of a formula, see RULES in softmax_xp/kernels/rules.py"
#endif
}
