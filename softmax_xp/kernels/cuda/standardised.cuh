// SPDX-License-Identifier: BSD-3-Clause
//
// One member of X in the float of the arithmetic, standardised if the launcher says so: (x - shift) * feature_scale.
//
// The numbers are stored as they came, as bytes or half floats too, and converted where they are used: X is what a
// step reads most of, and a byte takes a quarter of a float's time.
#pragma once

__device__ __forceinline__ REAL standardised(
    ELEMENT x, int feature, const REAL *shift, const REAL *feature_scale) {
    REAL member = to_real(x);
    if (shift != nullptr) member -= shift[feature];
    if (feature_scale != nullptr) member *= feature_scale[feature];
    return member;
}
