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

// Sum COUNT numbers (a power of two up to 32) over the warp at once. Thread `lane` gets the sum number
// lane / (32 / COUNT).
//
// One number after the other would take 5 shuffles each. Here partners 16 apart split the numbers between them, each
// handing over the half that it gives up and adding what it receives to the half that it keeps; then partners 8
// apart split what is left, and so on: 31 shuffles for 32 numbers instead of 160.
template <int COUNT>
__device__ __forceinline__ REAL warp_sums(REAL (&x)[COUNT]) {
    const int lane = threadIdx.x % WARP;
    int offset = WARP / 2;
#pragma unroll
    for (int kept = COUNT / 2; kept > 0; kept /= 2) {
        const bool keeps_upper = lane & offset;
#pragma unroll
        for (int i = 0; i < kept; ++i) {
            const REAL given = keeps_upper ? x[i] : x[i + kept];
            const REAL mine = keeps_upper ? x[i + kept] : x[i];
            x[i] = mine + __shfl_xor_sync(FULL_WARP, given, offset);
        }
        offset /= 2;
    }
#pragma unroll
    for (; offset > 0; offset /= 2) x[0] += __shfl_xor_sync(FULL_WARP, x[0], offset);
    return x[0];
}
