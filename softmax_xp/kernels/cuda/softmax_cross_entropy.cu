// SPDX-License-Identifier: BSD-3-Clause
//
// Softmax cross-entropy of many rows, and its gradient written over the logits.
//
// What. For each row of logits, with its label and weights: the loss, whether the first largest logit is at the
// label, and the gradient of the loss with respect to the logits, times `scale`. row_softmax.cuh has the formulas.
//
// Why one kernel. An array library needs about a dozen passes over the logits (maximum, difference, exponential, sum,
// quotient, minus the target, ...), each of which reads or writes all of them. The arithmetic is nothing beside the
// traffic, so what counts is bytes. Of an element of the logits, with s bytes each:
//
//     row_in_registers       s read + s written     up to 1024 classes; a group of 8, 16 or 32 threads for each row
//     row_in_shared_memory   s read + s written     as many classes as shared memory holds; a block for each row
//     row_read_twice        2s read + s written     any number; a block for each row
//
// and of each row its label (4 or 8 bytes), its weight (sizeof(REAL), if there are any), its loss (sizeof(REAL)) and
// its hit (1).
//
// How a long row needs no memory. The maximum must be known before the exponentials can be summed. Instead of
// reading the row twice for that, each thread keeps the sum relative to the largest logit it has met so far, and
// multiplies by exp(old maximum - new maximum) where a larger one comes (Milakov and Gimelshein, "Online normalizer
// calculation for softmax", 2018). The second reading writes the gradient.
//
// Limits. Labels must lie in [0, n_classes): nobody checks here. Offsets are computed in 64 bits, so n_samples times
// row_stride may pass 2**31; n_classes itself is less than 2**31. Sums are in REAL, in a fixed order. A float16
// gradient below 6e-8 is 0 and one above 65504 infinite: choose `scale` with that in mind.
//
// Macros: ELEMENT and LABEL are the types of the logits and the labels, REAL that of the arithmetic. VECTOR elements
// are read and written at once. With LANES and ITEMS the kernel is row_in_registers; else there are the other two.

#include "element_types.cuh"
#include "reductions.cuh"
#include "row_softmax.cuh"

typedef Pack<ELEMENT, VECTOR> Elements;

#define ARGUMENTS                                                                                                  \
    ELEMENT *__restrict__ logits, const LABEL *__restrict__ labels, const REAL *__restrict__ sample_weight,        \
        const REAL *__restrict__ class_weight, const REAL *__restrict__ scale_on_device, REAL scale,               \
        REAL smoothing, REAL inverse_temperature, long long n_samples, int n_classes, long long row_stride,        \
        REAL *__restrict__ value, bool *__restrict__ hits

#ifdef LANES

extern "C" __global__ void __launch_bounds__(128, sizeof(REAL) == 8 ? 2 : 3) row_in_registers(ARGUMENTS) {
    const int lane = threadIdx.x % LANES;
    const long long row = (blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x) / LANES;
    // Threads past the last row work on an empty one, because the shuffles want all 32.
    const bool is_row = row < n_samples;
    ELEMENT *const x = logits + (is_row ? row : 0) * row_stride;
    const Target target(is_row ? static_cast<int>(labels[row]) : 0,
                        is_row && sample_weight != nullptr ? sample_weight[row] : REAL(1), class_weight, n_classes,
                        smoothing);
    if (scale_on_device != nullptr) scale = *scale_on_device;
    REAL items[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; i += VECTOR) {
        const int column = column_of<LANES, VECTOR>(i, lane);
        Elements pack;
        // With VECTOR > 1, n_classes is a multiple of it: a pack is within the row, or past it.
        const bool is_inside = is_row && column < n_classes;
        if (is_inside) pack = *reinterpret_cast<const Elements *>(x + column);
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) items[i + j] = is_inside ? to_real(pack.at[j]) : MINUS_INFINITY;
    }
    REAL loss;
    bool hit;
    softmax_row<LANES, ITEMS, VECTOR>(items, target, scale, inverse_temperature, loss, hit);
    if (!is_row) return;
#pragma unroll
    for (int i = 0; i < ITEMS; i += VECTOR) {
        const int column = column_of<LANES, VECTOR>(i, lane);
        if (column >= n_classes) continue;
        Elements pack;
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) store(pack.at[j], items[i + j]);
        *reinterpret_cast<Elements *>(x + column) = pack;
    }
    if (lane == 0) {
        value[row] = loss;
        hits[row] = hit;
    }
}

#else

// A thread of a full block may use 64 registers, which are too few for arithmetic in double.
#define MOST_THREADS (4096 / sizeof(REAL))

// What both kernels do once the maximum and the total of the block's row are known.
struct Row {
    Target target;
    REAL at_label, scale, inverse_temperature;
    REAL maximum, total;

    __device__ __forceinline__ REAL shifted(REAL x) const { return (x - maximum) * inverse_temperature; }

    // The gradient, given exp(shifted) and the target's mass over all classes.
    __device__ __forceinline__ REAL gradient(REAL e, int column, REAL mass, REAL factor) const {
        const REAL t = target.smoothing != REAL(0) ? target.at(column) : (column == target.label ? mass : REAL(0));
        return (e * factor - t) * scale;
    }
};

__device__ __forceinline__ Row start_row(
    const ELEMENT *x, const LABEL *labels, const REAL *sample_weight, const REAL *class_weight,
    const REAL *scale_on_device, REAL scale, REAL smoothing, REAL inverse_temperature, int n_classes) {
    const long long row = blockIdx.x;
    const Target target(static_cast<int>(labels[row]), sample_weight == nullptr ? REAL(1) : sample_weight[row],
                        class_weight, n_classes, smoothing);
    // Every thread reads the label's logit before the first barrier; it is overwritten only after that.
    return {target, to_real(x[target.label]),
            (scale_on_device == nullptr ? scale : *scale_on_device) * inverse_temperature, inverse_temperature};
}

__device__ __forceinline__ void finish_row(const Row &row, REAL mass, REAL entropy, bool is_earlier_top, REAL *value,
                                           bool *hits) {
    // The same in all threads, so all of them come to this barrier or none.
    bool hit = is_top(row.at_label, row.maximum);
    if (hit) hit = !__syncthreads_or(is_earlier_top);
    if (threadIdx.x != 0) return;
    hits[blockIdx.x] = hit;
    value[blockIdx.x] = row.target.smoothing != REAL(0)
                            ? mass * logarithm(row.total) - entropy
                            : mass * (logarithm(row.total) - row.shifted(row.at_label));
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) row_in_shared_memory(ARGUMENTS) {
    REAL *const scratch = reinterpret_cast<REAL *>(shared_memory);  // 4 x 32
    REAL *const cache = scratch + 4 * WARP;                         // n_classes; each thread reads what it wrote
    ELEMENT *const x = logits + blockIdx.x * row_stride;
    Row row = start_row(x, labels, sample_weight, class_weight, scale_on_device, scale, smoothing,
                        inverse_temperature, n_classes);
    const int first = threadIdx.x * VECTOR, step = blockDim.x * VECTOR;

    REAL maximum = MINUS_INFINITY;
    for (int column = first; column < n_classes; column += step) {
        const Elements pack = *reinterpret_cast<const Elements *>(x + column);
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) maximum = larger(maximum, cache[column + j] = to_real(pack.at[j]));
    }
    row.maximum = block_maximum(maximum, scratch);

    REAL total = 0, mass = 0, entropy = 0;
    bool is_earlier_top = false;
    for (int column = first; column < n_classes; column += step) {
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) {
            const REAL logit = cache[column + j], shifted = row.shifted(logit);
            is_earlier_top |= column + j < row.target.label && is_top(logit, row.maximum);
            if (smoothing != REAL(0)) {
                const REAL t = row.target.at(column + j);
                mass += t;
                entropy += target_times(t, shifted);
            }
            total += cache[column + j] = exponential(shifted);
        }
    }
    row.total = block_sum(total, scratch + WARP);
    if (smoothing != REAL(0)) {
        mass = block_sum(mass, scratch + 2 * WARP);
        entropy = block_sum(entropy, scratch + 3 * WARP);
    } else {
        mass = row.target.at_label();
    }

    const REAL factor = mass / row.total;
    for (int column = first; column < n_classes; column += step) {
        Elements pack;
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) {
            store(pack.at[j], row.gradient(cache[column + j], column + j, mass, factor));
        }
        *reinterpret_cast<Elements *>(x + column) = pack;
    }
    finish_row(row, mass, entropy, is_earlier_top, value, hits);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) row_read_twice(ARGUMENTS) {
    REAL *const scratch = reinterpret_cast<REAL *>(shared_memory);  // 4 x 32
    ELEMENT *const x = logits + blockIdx.x * row_stride;
    Row row = start_row(x, labels, sample_weight, class_weight, scale_on_device, scale, smoothing,
                        inverse_temperature, n_classes);
    const long long first = static_cast<long long>(threadIdx.x) * VECTOR, step = blockDim.x * VECTOR;

    // `total` is relative to `maximum`, both of what this thread has met. A logit of -inf adds nothing, and must not
    // meet a maximum of -inf: their difference is NaN.
    REAL maximum = MINUS_INFINITY, total = 0, mass = 0, entropy = 0;
    for (long long column = first; column < n_classes; column += step) {
        const Elements pack = *reinterpret_cast<const Elements *>(x + column);
        REAL items[VECTOR], largest = maximum;
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) largest = larger(largest, items[j] = to_real(pack.at[j]));
        if (largest == MINUS_INFINITY) continue;
        total *= exponential((maximum - largest) * inverse_temperature);
        maximum = largest;
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) total += exponential((items[j] - maximum) * inverse_temperature);
    }
    row.maximum = block_maximum(maximum, scratch);
    // A thread that met only -inf brings a total of 0 and a factor of exp(-inf) = 0; where all threads did, the factor
    // is NaN, and so is the row.
    row.total = block_sum(total * exponential(row.shifted(maximum)), scratch + WARP);

    if (smoothing != REAL(0)) {
        for (int column = threadIdx.x; column < n_classes; column += blockDim.x) mass += row.target.at(column);
        mass = block_sum(mass, scratch + 2 * WARP);
    } else {
        mass = row.target.at_label();
    }
    const REAL factor = mass / row.total;
    bool is_earlier_top = false;
    for (long long column = first; column < n_classes; column += step) {
        Elements pack = *reinterpret_cast<const Elements *>(x + column);
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) {
            const int c = static_cast<int>(column) + j;
            const REAL logit = to_real(pack.at[j]), shifted = row.shifted(logit);
            is_earlier_top |= c < row.target.label && is_top(logit, row.maximum);
            if (smoothing != REAL(0)) entropy += target_times(row.target.at(c), shifted);
            store(pack.at[j], row.gradient(exponential(shifted), c, mass, factor));
        }
        *reinterpret_cast<Elements *>(x + column) = pack;
    }
    if (smoothing != REAL(0)) entropy = block_sum(entropy, scratch + 3 * WARP);
    finish_row(row, mass, entropy, is_earlier_top, value, hits);
}

#endif
