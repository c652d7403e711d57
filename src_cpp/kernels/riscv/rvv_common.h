// Wrappers and stored weights of the set for RISC-V's vectors. To be included after functions.h, within its target
// region.
#pragma once

namespace linnet {
namespace {

using F4 = float __attribute__((ext_vector_type(4)));
using F8 = float __attribute__((ext_vector_type(8)));
using F16 = float __attribute__((ext_vector_type(16)));
using I4 = int32_t __attribute__((ext_vector_type(4)));
using I8 = int32_t __attribute__((ext_vector_type(8)));
using I16 = int32_t __attribute__((ext_vector_type(16)));
using H16 = int16_t __attribute__((ext_vector_type(16)));
using U16 = uint16_t __attribute__((ext_vector_type(16)));

// A vector where its elements lie, aligned as they are.
template <class V, class T>
struct InMemory {
  typedef V Type __attribute__((aligned(alignof(T)), may_alias));
};

template <class V, class T>
LINNET_INLINE V vector_at(const T* p) {
  return *reinterpret_cast<const typename InMemory<V, T>::Type*>(p);
}

template <class V, class T>
LINNET_INLINE void put(T* p, V v) {
  *reinterpret_cast<typename InMemory<V, T>::Type*>(p) = v;
}

LINNET_INLINE F4 load4(const float* p) { return vector_at<F4>(p); }
LINNET_INLINE F16 load16(const float* p) { return vector_at<F16>(p); }
LINNET_INLINE void store4(float* p, F4 v) { put(p, v); }
LINNET_INLINE void store16(float* p, F16 v) { put(p, v); }
LINNET_INLINE F4 add4(F4 a, F4 b) { return a + b; }
LINNET_INLINE F16 add16(F16 a, F16 b) { return a + b; }
LINNET_INLINE F16 all16(float v) { return v; }
LINNET_INLINE F16 zero16() { return 0.0f; }

struct Fused {
  LINNET_INLINE static F16 fma16(F16 x, F16 y, F16 z) { return __builtin_elementwise_fma(x, y, z); }
};

LINNET_INLINE F8 join(F4 a, F4 b) { return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7); }
LINNET_INLINE F16 join(F8 a, F8 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

LINNET_INLINE F16 sixteen(F4 a, F4 b, F4 c, F4 d) { return join(join(a, b), join(c, d)); }

// What is left to sum when sixteen are folded to four.
LINNET_INLINE F4 quarters(F16 v) {
  const F8 halves = v.lo + v.hi;
  return halves.lo + halves.hi;
}

// The sums of lanes 4 r to 4 r + 3: (v0 + v1) + (v2 + v3).
template <class V>
LINNET_INLINE auto sums_of_4(V v) {
  const auto pairs = __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14) +
                     __builtin_shufflevector(v, v, 1, 3, 5, 7, 9, 11, 13, 15);
  return __builtin_shufflevector(pairs, pairs, 0, 2, 4, 6) + __builtin_shufflevector(pairs, pairs, 1, 3, 5, 7);
}

// The wrappers of functions.h.
struct Rvv {
  using F = F16;
  static constexpr uint32_t kWidth = 16;

  LINNET_INLINE static F all(float v) { return v; }
  LINNET_INLINE static F load(const float* p) { return vector_at<F>(p); }
  LINNET_INLINE static void store(float* p, F v) { put(p, v); }
  LINNET_INLINE static F load_part(const float* p, size_t n) {
    float t[16] = {0};
    memcpy(t, p, n * sizeof *t);
    return load(t);
  }
  LINNET_INLINE static void store_part(float* p, F v, size_t n) {
    float t[16];
    store(t, v);
    memcpy(p, t, n * sizeof *t);
  }
  LINNET_INLINE static F add(F x, F y) { return x + y; }
  LINNET_INLINE static F sub(F x, F y) { return x - y; }
  LINNET_INLINE static F mul(F x, F y) { return x * y; }
  LINNET_INLINE static F fma(F x, F y, F z) { return Fused::fma16(x, y, z); }
  LINNET_INLINE static F divide(F x, F y) { return x / y; }
  LINNET_INLINE static F negate(F x) { return -x; }
  LINNET_INLINE static F greater(F x, F y) { return x > y ? x : y; }
  LINNET_INLINE static F less(F x, F y) { return x < y ? x : y; }
  LINNET_INLINE static I16 power(F t) { return reinterpret_cast<I16>(t) - reinterpret_cast<I16>(all(kRound)); }
  LINNET_INLINE static F shift_in(F p, F t) { return reinterpret_cast<F>(reinterpret_cast<I16>(p) + (power(t) << 23)); }
  LINNET_INLINE static F split(F x, F* n) {
    const I16 bits = reinterpret_cast<I16>(x), times = ((bits - kTwoThirds) >> 23) - 126;
    *n = __builtin_convertvector(times, F);
    return reinterpret_cast<F>(bits - (times << 23));
  }
  LINNET_INLINE static F keep(F v, size_t n) {
    float t[16];
    store(t, v);
    for (; n < 16; ++n) t[n] = 0.0f;
    return load(t);
  }
  LINNET_INLINE static float greatest(F v) { return __builtin_reduce_max(v); }
  LINNET_INLINE static float fold(const F (&v)[1]) {
    const F4 q = quarters(v[0]);
    return (q[0] + q[1]) + (q[2] + q[3]);
  }
};

// Sixteen stored weights, widened. What x is to be multiplied with beside them is kOperand.

// fp16 times 2^-112, which is exact (subnormals become subnormals): the 15 bits of the magnitude move to those of an
// fp32 whose exponent is biased by 127 where that of an fp16 is biased by 15. A widening multiplication moves them; the
// compiler must not see that it multiplies by a power of two, or it widens and shifts.
struct ScaledFp16 {
  using Stored = int16_t;
  static constexpr float kOperand = 0x1p112f;
  LINNET_INLINE static F16 load16(const Stored* p) {
    int16_t shift = 1 << 13;
    __asm__("" : "+r"(shift));
    const I16 moved = __builtin_convertvector(vector_at<H16>(p), I16) * static_cast<int32_t>(shift);
    return reinterpret_cast<F16>(moved & static_cast<int32_t>(0x8fffe000u));
  }
};

struct Fp16 {
  using Stored = int16_t;
  static constexpr float kOperand = 1.0f;
  LINNET_INLINE static F16 load16(const Stored* p) { return ScaledFp16::load16(p) * 0x1p112f; }
};

struct Bf16 {
  using Stored = uint16_t;
  static constexpr float kOperand = 1.0f;
  LINNET_INLINE static F16 load16(const Stored* p) {
    return reinterpret_cast<F16>(__builtin_convertvector(vector_at<U16>(p), I16) << 16);
  }
};

struct Fp32 {
  using Stored = float;
  static constexpr float kOperand = 1.0f;
  LINNET_INLINE static F16 load16(const Stored* p) { return vector_at<F16>(p); }
};

// Four columns, four times: of x as it is, and of x whose columns have been repeated four by four.
struct Once {
  LINNET_INLINE static F16 four_times(const float* x, size_t block) {
    const F4 v = vector_at<F4>(x + 4 * block);
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  }
};

struct Repeated {
  LINNET_INLINE static F16 four_times(const float* x, size_t block) { return vector_at<F16>(x + 16 * block); }
};

}  // namespace
}  // namespace linnet
