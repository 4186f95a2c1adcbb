// SPDX-License-Identifier: BSD-3-Clause
//
// How numbers are stored, and how they are computed with.
//
// Stored: double, float, float16, bfloat16 and unsigned char. Computed with: REAL, which is float, or double where
// anything is stored as double. No header of the CUDA toolkit is needed: a bfloat16 is the upper half of a float,
// and a float16 is converted by one instruction. Compiled by another compiler, as the tests do, the same text takes
// the conversions that are written out in plain C++.
#pragma once

struct bfloat16 {
    unsigned short bits;
};

struct float16 {
    unsigned short bits;
};

#ifdef __CUDA_ARCH__
#define MINUS_INFINITY static_cast<REAL>(__int_as_float(0xff800000))
#else
#define MINUS_INFINITY static_cast<REAL>(-__builtin_huge_val())
#endif

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }

__device__ __forceinline__ unsigned int bits_of(float x) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(x);
#else
    unsigned int bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
#endif
}

__device__ __forceinline__ float float_of(unsigned int bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
#endif
}

// Reading.
__device__ __forceinline__ double to_real(double x) { return x; }
__device__ __forceinline__ float to_real(float x) { return x; }
__device__ __forceinline__ float to_real(unsigned char x) { return static_cast<float>(x); }
__device__ __forceinline__ float to_real(bfloat16 x) { return float_of(static_cast<unsigned int>(x.bits) << 16); }

__device__ __forceinline__ float to_real(float16 x) {
#ifdef __CUDA_ARCH__
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
    return result;
#else
    // 1 sign bit, 5 bits of exponent (bias 15), 10 of fraction. Shifted into a float's fields, the exponent is too
    // small by the difference of the biases, 112, which one multiplication mends, for subnormal numbers too.
    const unsigned int magnitude = (x.bits & 0x7fffu) << 13;
    const unsigned int sign = (x.bits & 0x8000u) << 16;
    if (magnitude >= 0x0f800000u) return float_of(sign | 0x70000000u | magnitude);  // infinities and NaN
    return float_of(sign | bits_of(float_of(magnitude) * 0x1p+112f));
#endif
}

// Writing rounds to the nearest, ties to even. The destination is an argument, so that its type selects the rounding.
__device__ __forceinline__ void store(double &destination, double x) { destination = x; }
__device__ __forceinline__ void store(float &destination, float x) { destination = x; }

__device__ __forceinline__ void store(bfloat16 &destination, float x) {
    const unsigned int bits = bits_of(x);
    // Half of the last kept bit, less a little where that bit is even. A NaN could round up to infinity: keep it quiet.
    const unsigned int rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    destination.bits = static_cast<unsigned short>(x != x ? 0x7fc0u : rounded);
}

__device__ __forceinline__ void store(float16 &destination, float x) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(destination.bits) : "f"(x));
#else
    const unsigned int bits = bits_of(x), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    unsigned int result;
    if (magnitude > 0x7f800000u) {
        result = 0x7e00u;  // NaN
    } else if (magnitude >= 0x477ff000u) {
        result = 0x7c00u;  // 65520 and more round to infinity
    } else if (magnitude < 0x38800000u) {
        // Below 2**-14: subnormal, a multiple of 2**-24. Adding 0.5, whose last bit is 2**-24, rounds to those.
        result = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    } else {
        result = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    destination.bits = static_cast<unsigned short>(sign | result);
#endif
}

// A group of neighbours that one instruction reads or writes: 16 bytes wherever COUNT > 1.
template <typename T, int COUNT>
struct alignas(sizeof(T) * COUNT) Pack {
    T at[COUNT];
};
