// SPDX-License-Identifier: BSD-3-Clause
//
// Enough of CUDA C++ for g++ to compile the text of a kernel, and for a CPU to run it.
//
// Each thread of a block is a fibre with a stack of its own. A fibre runs until it meets a barrier or a shuffle,
// then the next one does, in the order of their numbers or the reverse; blocks run one after another. All shared
// memory holds NaN when a block starts, and what lies past the bytes asked for is checked when it ends.
//
// What this shows: wrong mathematics, wrong offsets, barriers that are missing where an order of the threads can tell.
// What it does not: races that need threads to run at the same time within one statement, memory ordering weaker
// than a CPU's, anything about speed, and the few lines under `#ifdef __CUDA_ARCH__`.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

namespace shim {
constexpr int MOST_THREADS = 1024, WARPS = MOST_THREADS / 32, STACK_BYTES = 64 << 10, SHARED_BYTES = 232448;
enum Trouble { NONE, DEADLOCK, TOO_MUCH_SHARED, SHARED_OVERRUN };

struct Fibre {
    ucontext_t first;
    jmp_buf later;
    bool is_started, is_done;
    int parity;
};
struct Barrier {
    int arrived, alive, generation;
};
static Fibre fibres[MOST_THREADS];
static char *stacks;
static jmp_buf scheduler;
static int current;
static long progress;  // barriers opened and threads ended: a round without any is a deadlock
static Barrier block_barrier, warp_barrier[WARPS];
static int any[2];
static unsigned long long slots[2][MOST_THREADS];
static void (*body)(void *);
static void *body_argument;

static void select(int thread) {
    current = thread;
    threadIdx = {static_cast<unsigned>(thread), 0, 0};
}

static void wait_turn() {
    const int me = current;
    if (_setjmp(fibres[me].later) == 0) _longjmp(scheduler, 1);
    select(me);
}

static void open_if_complete(Barrier &barrier) {
    if (barrier.alive == 0 || barrier.arrived < barrier.alive) return;
    barrier.arrived = 0;
    ++barrier.generation;
    ++progress;
    if (&barrier == &block_barrier) any[barrier.generation & 1] = 0;
}

static void meet(Barrier &barrier) {
    const int generation = barrier.generation;
    ++barrier.arrived;
    open_if_complete(barrier);
    while (barrier.generation == generation) wait_turn();
}

static void fibre_main() {
    const int me = current;
    body(body_argument);
    fibres[me].is_done = true;
    ++progress;
    // A thread that has ended is not waited for.
    --block_barrier.alive;
    open_if_complete(block_barrier);
    --warp_barrier[me / 32].alive;
    open_if_complete(warp_barrier[me / 32]);
    _longjmp(scheduler, 1);
}

static void resume(int thread) {
    select(thread);
    if (_setjmp(scheduler) != 0) return;
    Fibre &fibre = fibres[thread];
    if (fibre.is_started) _longjmp(fibre.later, 1);
    fibre.is_started = true;
    setcontext(&fibre.first);
}

static void start_block(int n_threads) {
    block_barrier = {0, n_threads, 0};
    any[0] = any[1] = 0;
    for (int warp = 0; warp < WARPS; ++warp) {
        const int rest = n_threads - 32 * warp;
        warp_barrier[warp] = {0, rest < 0 ? 0 : rest > 32 ? 32 : rest, 0};
    }
    for (int i = 0; i < n_threads; ++i) {
        Fibre &fibre = fibres[i];
        fibre.is_started = fibre.is_done = false;
        fibre.parity = 0;
        getcontext(&fibre.first);
        fibre.first.uc_stack.ss_sp = stacks + static_cast<size_t>(i) * STACK_BYTES;
        fibre.first.uc_stack.ss_size = STACK_BYTES;
        fibre.first.uc_link = nullptr;
        makecontext(&fibre.first, fibre_main, 0);
    }
}

static bool run_block(int n_threads, bool is_reversed) {
    start_block(n_threads);
    for (;;) {
        const long before = progress;
        bool is_any_left = false;
        for (int i = 0; i < n_threads; ++i) {
            const int thread = is_reversed ? n_threads - 1 - i : i;
            if (fibres[thread].is_done) continue;
            is_any_left = true;
            resume(thread);
        }
        if (!is_any_left) return true;
        if (progress == before) return false;
    }
}
}  // namespace shim

alignas(16) unsigned char shared_memory[shim::SHARED_BYTES + 256];

static int shim_launch(unsigned grid, unsigned block, size_t shared_bytes, bool is_reversed, void (*body)(void *),
                       void *argument) {
    if (shared_bytes > shim::SHARED_BYTES) return shim::TOO_MUCH_SHARED;
    if (shim::stacks == nullptr) {
        shim::stacks = static_cast<char *>(malloc(static_cast<size_t>(shim::MOST_THREADS) * shim::STACK_BYTES));
    }
    shim::body = body;
    shim::body_argument = argument;
    gridDim = {grid, 1, 1};
    blockDim = {block, 1, 1};
    for (unsigned i = 0; i < grid; ++i) {
        blockIdx = {is_reversed ? grid - 1 - i : i, 0, 0};
        memset(shared_memory, 0xff, shared_bytes + 256);
        if (!shim::run_block(static_cast<int>(block), is_reversed)) return shim::DEADLOCK;
        for (int k = 0; k < 256; ++k) {
            if (shared_memory[shared_bytes + k] != 0xff) return shim::SHARED_OVERRUN;
        }
    }
    return shim::NONE;
}

static inline void __syncthreads() { shim::meet(shim::block_barrier); }
static inline void __syncwarp(unsigned = 0xffffffffu) { shim::meet(shim::warp_barrier[shim::current / 32]); }

static inline int __syncthreads_or(int predicate) {
    int &any = shim::any[(shim::block_barrier.generation + 1) & 1 ? 0 : 1];
    any |= predicate;
    shim::meet(shim::block_barrier);
    return any;
}

// All of a warp show a number, then each takes one. Two sets of slots, used in turn, so that nobody overwrites what
// another has yet to take.
template <class T>
static inline T shim_exchange(T mine, int source) {
    const int me = shim::current, first = me / 32 * 32;
    unsigned long long *slots = shim::slots[shim::fibres[me].parity ^= 1];
    memcpy(&slots[me], &mine, sizeof(T));
    __syncwarp();
    T theirs;
    memcpy(&theirs, &slots[first + (source & 31)], sizeof(T));
    return theirs;
}
template <class T>
static inline T __shfl_xor_sync(unsigned, T mine, int mask) { return shim_exchange(mine, (shim::current & 31) ^ mask); }
template <class T>
static inline T __shfl_sync(unsigned, T mine, int source) { return shim_exchange(mine, source); }

static inline unsigned __ballot_sync(unsigned, int predicate) {
    unsigned votes = 0;
    const unsigned mine = predicate ? 1u << (shim::current & 31) : 0u;
    const int me = shim::current, first = me / 32 * 32;
    unsigned long long *slots = shim::slots[shim::fibres[me].parity ^= 1];
    slots[me] = mine;
    __syncwarp();
    for (int i = 0; i < 32; ++i) votes |= static_cast<unsigned>(slots[first + i]);
    return votes;
}

// Arguments come as CUDA's own launch takes them: an array of pointers to the values.
template <class... A>
struct ShimCall {
    void (*kernel)(A...);
    void **arguments;

    template <size_t... I>
    void call(std::index_sequence<I...>) { kernel(*static_cast<std::remove_cv_t<A> *>(arguments[I])...); }
    static void run(void *self) { static_cast<ShimCall *>(self)->call(std::index_sequence_for<A...>()); }
};

template <class... A>
static int shim_start(void (*kernel)(A...), unsigned grid, unsigned block, size_t shared_bytes, bool is_reversed,
                      void **arguments) {
    ShimCall<A...> call = {kernel, arguments};
    return shim_launch(grid, block, shared_bytes, is_reversed, &ShimCall<A...>::run, &call);
}

// One letter and one digit for each parameter, so that a launcher can be held to them: p, f or i, and its bytes.
template <class... A>
static const char *shim_signature(void (*)(A...)) {
    static char text[2 * sizeof...(A) + 1];
    char *end = text;
    ((*end++ = std::is_pointer_v<A> ? 'p' : std::is_floating_point_v<A> ? 'f' : 'i', *end++ = '0' + sizeof(A)), ...);
    *end = 0;
    return text;
}

#define SHIM_EXPORT(entry)                                                                                            \
    extern "C" int entry##_run(unsigned grid, unsigned block, size_t shared_bytes, bool is_reversed, void **values) { \
        return shim_start(entry, grid, block, shared_bytes, is_reversed, values);                                     \
    }                                                                                                                 \
    extern "C" const char *entry##_parameters() { return shim_signature(entry); }
