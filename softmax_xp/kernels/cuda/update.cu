// SPDX-License-Identifier: BSD-3-Clause
//
// One step of an optimizer over all parameters, from one set of arrays into another.
//
// What. Each thread takes parameters one grid apart, and for each applies the rule of update_rules.cuh to it, its
// gradient and its accumulators. A second set of arrays moves no more bytes than a step in place, and leaves the last
// full step whole for whoever interrupts this one.
//
// Why. Written with an array library, Adam makes about a dozen passes over arrays of the parameters' size. Here each
// number moves once: the parameter and N_ACCUMULATORS accumulators are read and written, the gradient is read,
//
//     (3 + 2 * N_ACCUMULATORS) * sizeof(REAL) bytes for each parameter,
//
// 12 for plain gradient descent in float32, 28 for Adam. Neighbouring threads take neighbouring numbers, so a warp's
// access is 128 bytes in one piece.
//
// The scalars of a step (learning rate, bias corrections) are row `step` of a table in device memory, so that a
// recorded sequence of launches can be repeated with new ones.
//
// Macros: REAL is a type, RULE the rule, N_ACCUMULATORS (up to 4) how many arrays it keeps, N_SCALARS how many numbers
// each step has of its own.

#include "update_rules.cuh"

extern "C" __global__ void __launch_bounds__(256, 4) update(
    const REAL *__restrict__ grads, long long n_params, const REAL *__restrict__ scalars, long long step,
    const REAL *__restrict__ params, const REAL *__restrict__ accumulator_0, const REAL *__restrict__ accumulator_1,
    const REAL *__restrict__ accumulator_2, const REAL *__restrict__ accumulator_3, REAL *__restrict__ new_params,
    REAL *__restrict__ new_accumulator_0, REAL *__restrict__ new_accumulator_1, REAL *__restrict__ new_accumulator_2,
    REAL *__restrict__ new_accumulator_3) {
    const REAL *const old[4] = {accumulator_0, accumulator_1, accumulator_2, accumulator_3};
    REAL *const fresh[4] = {new_accumulator_0, new_accumulator_1, new_accumulator_2, new_accumulator_3};
    const long long first = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    // Not unrolled: other threads hide the latency of a load, and the doubles of several rounds exceed the registers.
#pragma unroll 1
    for (long long i = first; i < n_params; i += gridDim.x * static_cast<long long>(blockDim.x)) {
        REAL accumulators[N_ACCUMULATORS + 1];
#pragma unroll
        for (int k = 0; k < N_ACCUMULATORS; ++k) accumulators[k] = old[k][i];
        new_params[i] = apply_rule(params[i], grads[i], accumulators, scalars + step * N_SCALARS);
#pragma unroll
        for (int k = 0; k < N_ACCUMULATORS; ++k) fresh[k][i] = accumulators[k];
    }
}
