// SPDX-License-Identifier: BSD-3-Clause
//
// Sums and maxima over the threads of a warp or a block, in a fixed order: the same bits in every run.
//
// A GPU runs threads in warps of 32, which exchange numbers without memory ("shuffles"). A block is up to 32 warps,
// which meet in shared memory. There is no addition in memory by several threads at once (no float atomics)
// anywhere, because their order, and so the last bits of a sum, would change from run to run.
#pragma once

#define FULL_WARP 0xffffffffu
#define WARP 32

// All memory that the threads of a block share; the launcher says how many bytes there are.
extern __shared__ __align__(16) unsigned char shared_memory[];

// NaN wins, as in argmax and max of the array libraries: then the whole row becomes NaN.
__device__ __forceinline__ REAL larger(REAL a, REAL b) { return (a > b || a != a) ? a : b; }

// Over groups of N_LANES neighbouring threads (1, 2, 4, ..., 32), each of which gets the result. Both partners of a
// shuffle add the same two numbers, so that all threads hold the same bits.
template <int N_LANES>
__device__ __forceinline__ REAL group_sum(REAL x) {
#pragma unroll
    for (int offset = N_LANES / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(FULL_WARP, x, offset);
    return x;
}

template <int N_LANES>
__device__ __forceinline__ REAL group_maximum(REAL x) {
#pragma unroll
    for (int offset = N_LANES / 2; offset > 0; offset /= 2) x = larger(x, __shfl_xor_sync(FULL_WARP, x, offset));
    return x;
}

// Over the block. Each call needs a `scratch` of 32 numbers of its own: then one barrier is enough, because nobody
// writes there again.
__device__ __forceinline__ REAL block_sum(REAL x, REAL *scratch) {
    x = group_sum<WARP>(x);
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = x;
    __syncthreads();  // barrier: block_sum
    REAL total = scratch[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x / WARP); ++warp) total += scratch[warp];
    return total;
}

__device__ __forceinline__ REAL block_maximum(REAL x, REAL *scratch) {
    x = group_maximum<WARP>(x);
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = x;
    __syncthreads();  // barrier: block_maximum
    REAL maximum = scratch[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x / WARP); ++warp) maximum = larger(maximum, scratch[warp]);
    return maximum;
}

// The smallest power of two that is not below n.
constexpr int power_of_two(int n) { return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2); }

// Sum COUNT numbers (a power of two up to 32) over the warp at once. Thread `lane` gets the sum number
// lane / (32 / COUNT).
//
// One number after the other would take 5 shuffles each. Here partners 16 apart split the numbers between them, each
// handing over the half that it gives up and adding what it receives to the half that it keeps; then partners 8
// apart split what is left, and so on: 31 shuffles for 32 numbers instead of 160.
//
// The steps are a recursion of templates, not a loop, so that every index is a constant: numbers that are indexed by a
// variable cannot stay in registers.
template <int KEPT, int COUNT>
__device__ __forceinline__ void split_between_partners(REAL (&x)[COUNT]) {
    if constexpr (KEPT > 0) {
        constexpr int OFFSET = WARP * KEPT / COUNT;
        const bool keeps_upper = threadIdx.x & OFFSET;
#pragma unroll
        for (int i = 0; i < KEPT; ++i) {
            const REAL given = keeps_upper ? x[i] : x[i + KEPT];
            const REAL mine = keeps_upper ? x[i + KEPT] : x[i];
            x[i] = mine + __shfl_xor_sync(FULL_WARP, given, OFFSET);
        }
        split_between_partners<KEPT / 2>(x);
    }
}

template <int COUNT>
__device__ __forceinline__ REAL warp_sums(REAL (&x)[COUNT]) {
    split_between_partners<COUNT / 2>(x);
    return group_sum<WARP / COUNT>(x[0]);
}
