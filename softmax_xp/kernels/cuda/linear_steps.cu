// SPDX-License-Identifier: BSD-3-Clause
//
// One minibatch step of a linear softmax model with few classes, in two kernels.
//
// What. `scores_and_gradient` takes the rows of X that the batch names, computes their logits, loss, hit, and the
// gradient with respect to the logits. `weight_update` makes of that the gradient with respect to the weights, adds
// the penalty's, and applies the optimizer's rule in place.
//
// Why. A step on 128 rows is so little work that a GPU spends it waiting: for each of some twenty launches of an array
// library. Two launches are the fewest possible without a barrier over the whole GPU, since every weight depends on
// every row of the batch through the first kernel, and the next step's logits on every weight.
//
// How the parameters lie. `packed` is (n_features + 1, CLASSES), C order, the bias being the last row; without a bias
// that row is missing. The bias is the weight of a feature that is always 1, and neither standardised nor penalised.
//
// Traffic. With n rows in the batch, e bytes for an element of X and r = sizeof(REAL):
//
//     scores_and_gradient   n * n_features * e, each row once; the weights, (n_features + 1) * CLASSES * r, by each of
//                           the n / ROWS blocks, which is why ROWS > 1 for large batches; out, n * CLASSES * r
//     weight_update         n * n_features * e again, from the second-level cache, since a batch is small;
//                           the logits' gradient, n * CLASSES * r, by each block; parameters and accumulators once
//
// Determinism. Each sum has one order: over features by thread number, then over threads as a tree, then over warps;
// over rows likewise. Nothing depends on which block runs first.
//
// Limits. Labels and row numbers must be in range: nobody checks here. CLASSES up to 64, because a thread keeps a sum
// for each class (and row) in registers.
//
// Macros: ELEMENT, LABEL and REAL are types; CLASSES and ROWS are numbers, and so is BIAS (1 or 0); RULE is the rule,
// N_ACCUMULATORS (up to 4) how many arrays it keeps, and N_SCALARS how many numbers each step has of its own.

#include "element_types.cuh"
#include "reductions.cuh"
#include "row_softmax.cuh"
#include "standardised.cuh"
#include "update_rules.cuh"

#define THREADS 256
#define N_WARPS (THREADS / WARP)

// Sums over threads are formed SUMS at a time, see warp_sums.
#define VALUES (ROWS * CLASSES)
#define SUMS power_of_two(VALUES < WARP ? VALUES : WARP)
#define CHUNKS ((VALUES + SUMS - 1) / SUMS)

extern "C" __global__ void __launch_bounds__(THREADS) scores_and_gradient(
    const ELEMENT *__restrict__ X, long long row_stride, const long long *__restrict__ order,
    const LABEL *__restrict__ labels, const REAL *__restrict__ sample_weight, const REAL *__restrict__ class_weight,
    const REAL *__restrict__ shift, const REAL *__restrict__ feature_scale, const REAL *__restrict__ packed,
    REAL smoothing, REAL inverse_temperature, long long start, int n_rows, int n_features,
    REAL *__restrict__ logits_gradient, REAL *__restrict__ row_weight, REAL *__restrict__ value,
    bool *__restrict__ hits) {
    REAL *const partial = reinterpret_cast<REAL *>(shared_memory);  // N_WARPS x VALUES
    const int first_row = blockIdx.x * ROWS, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;

    const ELEMENT *x[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        // Past the last row: the last one again, whose result is thrown away.
        const int row = first_row + r < n_rows ? first_row + r : n_rows - 1;
        x[r] = X + order[start + row] * row_stride;
    }
    REAL sums[CHUNKS][SUMS];
#pragma unroll
    for (int i = 0; i < CHUNKS * SUMS; ++i) sums[i / SUMS][i % SUMS] = 0;
    for (int feature = threadIdx.x; feature < n_features; feature += THREADS) {
        REAL member[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) member[r] = standardised(x[r][feature], feature, shift, feature_scale);
#pragma unroll
        for (int c = 0; c < CLASSES; ++c) {
            const REAL weight = packed[feature * static_cast<long long>(CLASSES) + c];
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const int i = r * CLASSES + c;
                sums[i / SUMS][i % SUMS] += member[r] * weight;
            }
        }
    }
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        const REAL sum = warp_sums<SUMS>(sums[chunk]);
        const int i = chunk * SUMS + lane / (WARP / SUMS);
        if (lane % (WARP / SUMS) == 0 && i < VALUES) partial[warp * VALUES + i] = sum;
    }
    __syncthreads();  // barrier: scores_and_gradient

    // One warp for each row finishes it. Whole warps leave here, so the shuffles below still have all 32 threads.
    const int row = first_row + warp;
    if (warp >= ROWS || row >= n_rows) return;
    constexpr int ITEMS = (CLASSES + WARP - 1) / WARP;
    REAL logits[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
        const int c = column_of<WARP, 1>(i, lane);
        logits[i] = MINUS_INFINITY;
        if (c >= CLASSES) continue;
        REAL sum = BIAS ? packed[n_features * static_cast<long long>(CLASSES) + c] : REAL(0);
        for (int w = 0; w < N_WARPS; ++w) sum += partial[w * VALUES + warp * CLASSES + c];
        logits[i] = sum;
    }
    const long long sample = order[start + row];
    const Target target(static_cast<int>(labels[sample]), sample_weight == nullptr ? REAL(1) : sample_weight[sample],
                        class_weight, CLASSES, smoothing);
    REAL loss;
    bool hit;
    softmax_row<WARP, ITEMS, 1>(logits, target, REAL(1), inverse_temperature, loss, hit);
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
        const int c = column_of<WARP, 1>(i, lane);
        if (c < CLASSES) logits_gradient[row * CLASSES + c] = logits[i];
    }
    if (lane == 0) {
        value[start + row] = loss;
        hits[start + row] = hit;
        row_weight[row] = target.at_label();
    }
}

// Features that a block owns, all of their classes included, and how many threads share the rows of one.
#define FEATURES 8
#define SHARES (THREADS / FEATURES)

extern "C" __global__ void __launch_bounds__(THREADS) weight_update(
    const ELEMENT *__restrict__ X, long long row_stride, const long long *__restrict__ order,
    const REAL *__restrict__ shift, const REAL *__restrict__ feature_scale, long long start, int n_rows,
    int n_features, const REAL *__restrict__ logits_gradient, const REAL *__restrict__ row_weight, REAL l2,
    const REAL *__restrict__ scalars, long long step, REAL *__restrict__ packed, REAL *__restrict__ accumulator_0,
    REAL *__restrict__ accumulator_1, REAL *__restrict__ accumulator_2, REAL *__restrict__ accumulator_3) {
    REAL *const scratch = reinterpret_cast<REAL *>(shared_memory);  // 32
    REAL *const partial = scratch + WARP;                           // N_WARPS x FEATURES x CLASSES
    const int feature = blockIdx.x * FEATURES + threadIdx.x % FEATURES, warp = threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;

    // Each block adds up the batch's weight for itself, all in the same order: cheaper than another launch.
    REAL total = 0;
    for (int row = threadIdx.x; row < n_rows; row += THREADS) total += row_weight[row];
    total = block_sum(total, scratch);
    const REAL reciprocal = total > 0 ? REAL(1) / total : REAL(0);

    REAL sums[CLASSES];
#pragma unroll
    for (int c = 0; c < CLASSES; ++c) sums[c] = 0;
    for (int row = threadIdx.x / FEATURES; row < n_rows; row += SHARES) {
        REAL member = REAL(1);  // of the bias
        if (feature < n_features) {
            member = standardised(X[order[start + row] * row_stride + feature], feature, shift, feature_scale);
        }
#pragma unroll
        for (int c = 0; c < CLASSES; ++c) sums[c] += member * logits_gradient[row * CLASSES + c];
    }
#pragma unroll
    for (int c = 0; c < CLASSES; ++c) {
        // Within a warp, the threads FEATURES, 2 * FEATURES, ... apart hold the same feature.
#pragma unroll
        for (int offset = WARP / 2; offset >= FEATURES; offset /= 2) {
            sums[c] += __shfl_xor_sync(FULL_WARP, sums[c], offset);
        }
        if (lane < FEATURES) partial[(warp * FEATURES + lane) * CLASSES + c] = sums[c];
    }
    __syncthreads();  // barrier: weight_update

    REAL *const arrays[4] = {accumulator_0, accumulator_1, accumulator_2, accumulator_3};
    for (int i = threadIdx.x; i < FEATURES * CLASSES; i += THREADS) {
        const int owner = blockIdx.x * FEATURES + i / CLASSES;
        if (owner >= n_features + BIAS) break;
        REAL gradient = 0;
        for (int w = 0; w < N_WARPS; ++w) gradient += partial[w * FEATURES * CLASSES + i];
        gradient *= reciprocal;
        const long long place = static_cast<long long>(blockIdx.x) * FEATURES * CLASSES + i;
        const REAL param = packed[place];
        if (owner < n_features) gradient += l2 * param;
        REAL accumulators[N_ACCUMULATORS + 1];
#pragma unroll
        for (int k = 0; k < N_ACCUMULATORS; ++k) accumulators[k] = arrays[k][place];
        packed[place] = apply_rule(param, gradient, accumulators, scalars + step * N_SCALARS);
#pragma unroll
        for (int k = 0; k < N_ACCUMULATORS; ++k) arrays[k][place] = accumulators[k];
    }
}
