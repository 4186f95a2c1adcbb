// SPDX-License-Identifier: BSD-3-Clause
//
// Loss, gradient and hit of rows whose logits are held by neighbouring threads.
//
// With s[c] = (logits[c] - maximum) / temperature and total = sum(exp(s)), the probabilities are exp(s[c]) / total,
// their logarithms s[c] - log(total), and for a target t
//
//     value    = -sum(t * log p)               = sum(t) * log(total) - sum(t * s)
//     gradient = (sum(t) * p - t) / temperature
//
// Subtracting the maximum first keeps every exponential at most 1, and total between 1 and n_classes. Where a row
// holds NaN, +inf, or nothing but -inf, s is NaN at the largest logit, so total is, so all of the row is.
#pragma once

// What a row is to be compared with, and how much it counts.
struct Target {
    int label;
    REAL weight;               // of the sample
    const REAL *class_weight;  // one for each class, or null for one each
    int n_classes;
    REAL smoothing, spread;  // the share of the target that is spread over all classes, and what each gets of it

    __device__ __forceinline__ Target(int label, REAL weight, const REAL *class_weight, int n_classes, REAL smoothing)
        : label(label), weight(weight), class_weight(class_weight), n_classes(n_classes), smoothing(smoothing),
          spread(smoothing / n_classes) {}

    __device__ __forceinline__ REAL of_class(int c) const { return class_weight == nullptr ? REAL(1) : class_weight[c]; }

    // t[c], with smoothing.
    __device__ __forceinline__ REAL at(int c) const {
        return ((c == label ? REAL(1) - smoothing : REAL(0)) + spread) * of_class(c) * weight;
    }

    // t[label], without: all other members are 0.
    __device__ __forceinline__ REAL at_label() const { return of_class(label) * weight; }
};

// t * s, except that a target of zero asks nothing of its logit: 0 * -inf would be NaN.
__device__ __forceinline__ REAL target_times(REAL t, REAL s) { return t == REAL(0) ? REAL(0) : t * s; }

// Whether x is among the largest, where NaN counts as larger than all, as in argmax.
__device__ __forceinline__ bool is_top(REAL x, REAL maximum) { return maximum != maximum ? x != x : x == maximum; }

// A row is spread over N_LANES neighbouring threads of a warp, N_ITEMS logits each, which come from memory N_NEIGHBOURS
// neighbours at a time. Member `i` of thread `lane` is this column of the row:
template <int N_LANES, int N_NEIGHBOURS>
__device__ __forceinline__ int column_of(int i, int lane) {
    return (i / N_NEIGHBOURS * N_LANES + lane) * N_NEIGHBOURS + i % N_NEIGHBOURS;
}

// Turn the logits `x` into the gradient times `scale`; columns past the end hold -inf. All 32 threads of the warp must
// call this together, each group with its own row.
template <int N_LANES, int N_ITEMS, int N_NEIGHBOURS>
__device__ __forceinline__ void softmax_row(
    REAL (&x)[N_ITEMS], const Target &target, REAL scale, REAL inverse_temperature, REAL &value, bool &hit) {
    const int lane = threadIdx.x % N_LANES;
    const int first_lane = threadIdx.x % WARP - lane;
    REAL maximum = x[0], mine = x[0];
#pragma unroll
    for (int i = 1; i < N_ITEMS; ++i) maximum = larger(maximum, x[i]);
    maximum = group_maximum<N_LANES>(maximum);
    // The thread that holds the label's logit shows it to the others.
    bool is_earlier_top = false;
#pragma unroll
    for (int i = 0; i < N_ITEMS; ++i) {
        const int column = column_of<N_LANES, N_NEIGHBOURS>(i, lane);
        if (column == target.label) mine = x[i];
        is_earlier_top |= column < target.label && is_top(x[i], maximum);
    }
    const REAL at_label = __shfl_sync(FULL_WARP, mine, first_lane + target.label / N_NEIGHBOURS % N_LANES);
    const unsigned int group = (N_LANES == WARP ? FULL_WARP : (1u << (N_LANES % WARP)) - 1u) << first_lane;
    const unsigned int earlier_tops = __ballot_sync(FULL_WARP, is_earlier_top) & group;
    hit = is_top(at_label, maximum) && earlier_tops == 0;

    REAL total = 0, mass = 0, entropy = 0;
    const bool is_smoothed = target.smoothing != REAL(0);
#pragma unroll
    for (int i = 0; i < N_ITEMS; ++i) {
        const int column = column_of<N_LANES, N_NEIGHBOURS>(i, lane);
        const REAL shifted = (x[i] - maximum) * inverse_temperature;
        if (is_smoothed && column < target.n_classes) {
            const REAL t = target.at(column);
            mass += t;
            entropy += target_times(t, shifted);
        }
        x[i] = exponential(shifted);
        total += x[i];
    }
    total = group_sum<N_LANES>(total);
    scale *= inverse_temperature;
    if (is_smoothed) {
        mass = group_sum<N_LANES>(mass);
        value = mass * logarithm(total) - group_sum<N_LANES>(entropy);
    } else {
        mass = target.at_label();
        value = mass * (logarithm(total) - (at_label - maximum) * inverse_temperature);
    }
    const REAL factor = mass / total;
#pragma unroll
    for (int i = 0; i < N_ITEMS; ++i) {
        const int column = column_of<N_LANES, N_NEIGHBOURS>(i, lane);
        const REAL t = column == target.label ? mass : REAL(0);
        x[i] = (x[i] * factor - (is_smoothed && column < target.n_classes ? target.at(column) : t)) * scale;
    }
}
