// SPDX-License-Identifier: BSD-3-Clause
//
// Cross-entropy of a linear softmax model with few classes over all samples, and its gradient, reading X once.
//
// What. logits = X @ weight + bias; each sample's loss; and the gradient of the weighted sum of the losses with respect
// to weight and bias, times `scale`. row_softmax.cuh has the formulas.
//
// Why one pass. As two matrix products, X @ weight and X^T @ gradient, the data are read twice, and with few classes
// reading is all there is to do: at 10 classes in float32 a row of 784 features is 3136 bytes and 31,360
// multiplications, fewer than a GPU makes in the time those bytes take. A row's logits need all of its features, and
// its part of the gradient needs the same features again a moment later: here they stay where they are in between.
//
// How. Each thread of a block owns FEATURES features, THREADS apart, and for these keeps
//
//     their CLASSES * FEATURES sums of the gradient, in registers, from the first row to the last;
//     their members of the ROWS rows in work and of the next ROWS, in registers;
//     their weights, in shared memory, since registers are too few for both.
//
// A block takes ROWS rows at a time: every thread adds up its features' part of the logits, the parts are summed over
// the warp and, through shared memory, over the block; one warp for each row makes loss and gradient of them; every
// thread adds the row's gradient times its members to its sums. While that goes on, the next rows are on their way.
// In the end each block writes its sums, and `reduce_partials` adds up the blocks'.
//
// Traffic. X once, n * n_features * sizeof(ELEMENT), beside which the rest is small: of each row its label, weight and
// loss, and once for each block (n_features + 1) * CLASSES * sizeof(REAL) read as weights, written as sums and read.
//
// Limits. The sums are what counts: 65,536 registers of 4 bytes belong to a multiprocessor, so 2048 features times 32
// classes would need all of them for the sums alone. A thread may have 255, of which about 55 are for addresses and
// intermediate results. In float32, with a bias, 256 threads then have room for 784 features times 32 classes, 1024
// times 31, 2048 times 16 or 3583 times 10. `supports_full_batch` knows; beyond, two matrix products are the better
// way, because with more classes they compute more than they read.
//
// The bias is the weight of a feature that is always 1. Sums have one order, given the number of blocks, which is
// that of the device's multiprocessors. Labels must be in range: nobody checks here.
//
// Macros: ELEMENT, LABEL and REAL are types; CLASSES up to 32, ROWS up to 4 with ROWS * CLASSES up to 32, FEATURES,
// THREADS of at least 32 * ROWS, BIAS (1 or 0), and BLOCKS, how many blocks a multiprocessor is to hold at least.

#include "element_types.cuh"
#include "reductions.cuh"
#include "row_softmax.cuh"
#include "standardised.cuh"

#define N_WARPS (THREADS / WARP)
#define WIDTH (THREADS * FEATURES)
#define VALUES (ROWS * CLASSES)
#define SUMS power_of_two(VALUES)

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) partial_gradients(
    const ELEMENT *__restrict__ X, long long row_stride, const LABEL *__restrict__ labels,
    const REAL *__restrict__ sample_weight, const REAL *__restrict__ class_weight, const REAL *__restrict__ shift,
    const REAL *__restrict__ feature_scale, const REAL *__restrict__ weight, const REAL *__restrict__ bias,
    REAL smoothing, REAL inverse_temperature, long long n_samples, int n_features, REAL *__restrict__ partials,
    REAL *__restrict__ value) {
    REAL *const weights = reinterpret_cast<REAL *>(shared_memory);  // CLASSES x WIDTH
    REAL *const parts = weights + CLASSES * WIDTH;                  // N_WARPS x VALUES
    REAL *const row_gradients = parts + N_WARPS * VALUES;           // ROWS x CLASSES
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;

    // Neighbouring threads own neighbouring features, so for each class they read neighbouring weights.
#pragma unroll
    for (int f = 0; f < FEATURES; ++f) {
        const int feature = f * THREADS + threadIdx.x;
        for (int c = 0; c < CLASSES; ++c) {
            REAL w = 0;
            if (feature < n_features) w = weight[feature * static_cast<long long>(CLASSES) + c];
            if (BIAS && feature == n_features) w = bias[c];
            weights[c * WIDTH + feature] = w;  // read by this thread alone: no barrier
        }
    }
    REAL gradient[FEATURES][CLASSES];
#pragma unroll
    for (int i = 0; i < FEATURES * CLASSES; ++i) gradient[i / CLASSES][i % CLASSES] = 0;

    const long long step = static_cast<long long>(gridDim.x) * ROWS;
    ELEMENT next[ROWS][FEATURES];
    // The first round only loads. Without any rows there is not even one to load in place of others.
    long long first = static_cast<long long>(blockIdx.x) * ROWS - step;
    for (; first < n_samples && n_samples > 0; first += step) {
        REAL members[ROWS][FEATURES];
        const bool is_loaded = first >= 0;
        if (is_loaded) {
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
#pragma unroll
                for (int f = 0; f < FEATURES; ++f) {
                    const int feature = f * THREADS + threadIdx.x;
                    members[r][f] = BIAS && feature == n_features ? REAL(1) : REAL(0);
                    if (feature < n_features) {
                        members[r][f] = standardised(next[r][f], feature, shift, feature_scale);
                    }
                }
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            // Past the end: the last row again, with a gradient of 0. Were its members infinite, so that 0 times them is
            // NaN, then so would be its own part of the sum.
            const long long row = first + step + r < n_samples ? first + step + r : n_samples - 1;
#pragma unroll
            for (int f = 0; f < FEATURES; ++f) {
                const int feature = f * THREADS + threadIdx.x;
                if (feature < n_features) next[r][f] = X[row * row_stride + feature];
            }
        }
        if (!is_loaded) continue;

        REAL sums[SUMS];
#pragma unroll
        for (int i = 0; i < SUMS; ++i) sums[i] = 0;
#pragma unroll
        for (int f = 0; f < FEATURES; ++f) {
#pragma unroll
            for (int c = 0; c < CLASSES; ++c) {
                const REAL w = weights[c * WIDTH + f * THREADS + threadIdx.x];
#pragma unroll
                for (int r = 0; r < ROWS; ++r) sums[r * CLASSES + c] += members[r][f] * w;
            }
        }
        const REAL sum = warp_sums<SUMS>(sums);
        const int i = lane / (WARP / SUMS);
        if (lane % (WARP / SUMS) == 0 && i < VALUES) parts[warp * VALUES + i] = sum;
        __syncthreads();  // barrier: logits

        if (warp < ROWS) {
            const long long row = first + warp;
            const bool is_row = row < n_samples;
            REAL logit[1] = {MINUS_INFINITY};
            if (lane < CLASSES) {
                logit[0] = 0;
                for (int w = 0; w < N_WARPS; ++w) logit[0] += parts[w * VALUES + warp * CLASSES + lane];
            }
            const Target target(is_row ? static_cast<int>(labels[row]) : 0,
                                is_row && sample_weight != nullptr ? sample_weight[row] : REAL(1), class_weight,
                                CLASSES, smoothing);
            REAL loss;
            bool hit;
            softmax_row<WARP, 1, 1>(logit, target, REAL(1), inverse_temperature, loss, hit);
            if (lane < CLASSES) row_gradients[warp * CLASSES + lane] = is_row ? logit[0] : REAL(0);
            if (is_row && lane == 0) value[row] = loss;
        }
        __syncthreads();  // barrier: gradients

        // Nobody writes to `parts` before everybody has passed the barrier above, after which nobody reads them; nor
        // to `row_gradients` before the next round's first barrier, by when everybody has read them.
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
#pragma unroll
            for (int c = 0; c < CLASSES; ++c) {
                const REAL g = row_gradients[r * CLASSES + c];
#pragma unroll
                for (int f = 0; f < FEATURES; ++f) gradient[f][c] += members[r][f] * g;
            }
        }
    }
    REAL *const mine = partials + blockIdx.x * static_cast<long long>(n_features + BIAS) * CLASSES;
#pragma unroll
    for (int f = 0; f < FEATURES; ++f) {
        const int feature = f * THREADS + threadIdx.x;
        if (feature >= n_features + BIAS) break;
#pragma unroll
        for (int c = 0; c < CLASSES; ++c) mine[feature * static_cast<long long>(CLASSES) + c] = gradient[f][c];
    }
}

// A block adds up 32 members of the gradient, each by 8 threads that take every eighth block's part.
#define SHARES 8

extern "C" __global__ void __launch_bounds__(SHARES *WARP) reduce_partials(
    const REAL *__restrict__ partials, int n_partials, long long n_weights, long long n_biases,
    const REAL *__restrict__ scale_on_device, REAL scale, REAL *__restrict__ weight_gradient,
    REAL *__restrict__ bias_gradient) {
    REAL *const parts = reinterpret_cast<REAL *>(shared_memory);  // SHARES x 32
    const int share = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const long long n_members = n_weights + n_biases, member = blockIdx.x * static_cast<long long>(WARP) + lane;
    REAL sum = 0;
    if (member < n_members) {
        for (int i = share; i < n_partials; i += SHARES) sum += partials[i * n_members + member];
    }
    parts[share * WARP + lane] = sum;
    __syncthreads();  // barrier: partials
    if (share != 0 || member >= n_members) return;
    for (int i = 1; i < SHARES; ++i) sum += parts[i * WARP + lane];
    sum *= scale_on_device == nullptr ? scale : *scale_on_device;
    if (member < n_weights) {
        weight_gradient[member] = sum;
    } else {
        bias_gradient[member - n_weights] = sum;
    }
}
