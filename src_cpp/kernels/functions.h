// The functions of arithmetic.h and the kernels made of them, once for all sets. A set names its registers and their
// instructions in a struct V of one-line wrappers:
//
//   F, kWidth                     floats of a register, a divisor of 16
//   all, load, store              load_part and store_part: the first n < kWidth floats, zeros after them
//   add, sub, mul, fma, divide    fma(a, b, c) = a b + c; divide by an exact division
//   negate, greater, less         greater(a, b) = a > b ? a : b: the second where either is not a number
//   shift_in(p, t)                the bits of p plus (bits of t - bits of kRound) << 23
//   split(x, &n)                  f with x = f 2^n and 2/3 <= f < 4/3, by the bits of a normal x above 0
//   keep(v, n)                    the first n < kWidth lanes, zeros after them
//   greatest                      of the lanes, none of which is not a number
//   fold                          of 16 floats in 16 / kWidth registers, in the order of FORMAT.md
//
// To be included within a target region, once per file: each file compiles its own copy for its own instructions.
#pragma once

#include <math.h>
#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/contract.h"

namespace linnet {
namespace {

template <class V, bool kWhole>
LINNET_INLINE typename V::F load(const float* p, size_t n) {
  if constexpr (kWhole) return V::load(p);
  return V::load_part(p, n);
}

template <class V, bool kWhole>
LINNET_INLINE void store(float* p, typename V::F v, size_t n) {
  if constexpr (kWhole) return V::store(p, v);
  V::store_part(p, v, n);
}

template <class V>
LINNET_INLINE typename V::F exp_of(typename V::F x) {
  using F = typename V::F;
  x = V::greater(x, V::all(kExpLow));
  x = V::less(x, V::all(kExpHigh));
  const F t = V::fma(x, V::all(kLog2E), V::all(kRound));
  const F n = V::sub(t, V::all(kRound));
  F r = V::fma(n, V::all(-kLn2High), x);
  r = V::fma(n, V::all(-kLn2Low), r);
  F p = V::all(kExp6);
  p = V::fma(p, r, V::all(kExp5));
  p = V::fma(p, r, V::all(kExp4));
  p = V::fma(p, r, V::all(kExp3));
  p = V::fma(p, r, V::all(kExp2));
  p = V::fma(p, r, V::all(1.0f));
  p = V::fma(p, r, V::all(1.0f));
  return V::shift_in(p, t);
}

template <class V>
LINNET_INLINE typename V::F log_of(typename V::F x) {
  using F = typename V::F;
  F n;
  const F f = V::sub(V::split(V::less(V::greater(x, V::all(kLogLow)), V::all(kLogHigh)), &n), V::all(1.0f));
  F p = V::all(kLog8);
  p = V::fma(p, f, V::all(kLog7));
  p = V::fma(p, f, V::all(kLog6));
  p = V::fma(p, f, V::all(kLog5));
  p = V::fma(p, f, V::all(kLog4));
  p = V::fma(p, f, V::all(kLog3));
  p = V::fma(p, f, V::all(kLog2));
  p = V::fma(p, f, V::all(kLog1));
  p = V::fma(p, f, V::all(-0.5f));
  const F r = V::fma(V::mul(f, f), p, f);
  return V::fma(n, V::all(kLn2High), V::fma(n, V::all(kLn2Low), r));
}

template <class V>
LINNET_INLINE typename V::F sigmoid_of(typename V::F x) {
  return V::divide(V::all(1.0f), V::add(V::all(1.0f), exp_of<V>(V::negate(x))));
}

template <class V>
LINNET_INLINE typename V::F tanh_of(typename V::F x) {
  return V::fma(V::all(2.0f), sigmoid_of<V>(V::add(x, x)), V::all(-1.0f));
}

template <class V>
LINNET_INLINE typename V::F activation_of(Activation activation, typename V::F x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return V::greater(x, V::all(0.0f));
    case Activation::tanh:
      return tanh_of<V>(x);
    case Activation::sigmoid:
      return sigmoid_of<V>(x);
    case Activation::exp:
      return exp_of<V>(x);
  }
  return x;
}

template <class V, bool kWhole>
LINNET_INLINE void activate_some(Activation activation, const float* add, float* y, size_t n) {
  typename V::F v = load<V, kWhole>(y, n);
  if (add) v = V::add(v, load<V, kWhole>(add, n));
  store<V, kWhole>(y, activation_of<V>(activation, v), n);
}

template <class V>
void activate(uint32_t n, Activation activation, const float* add, float* y) {
  uint32_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) activate_some<V, true>(activation, add ? add + i : nullptr, y + i, 0);
  if (i < n) activate_some<V, false>(activation, add ? add + i : nullptr, y + i, n - i);
}

// The sums of a GRU's gates, from one unit on.
struct GateSums {
  const float *recurrent, *input;
  size_t stride;

  GateSums from(size_t unit) const { return {recurrent + unit, input + unit, stride}; }
};

template <class V, bool kWhole>
LINNET_INLINE typename V::F gate_sum(const GateSums& sums, int gate, size_t n) {
  const size_t at = gate * sums.stride;
  return V::add(load<V, kWhole>(sums.recurrent + at, n), load<V, kWhole>(sums.input + at, n));
}

// What the tanh of the candidate is taken of.
template <class V, bool kWhole>
LINNET_INLINE typename V::F candidate_of(const GateSums& sums, size_t n) {
  const size_t at = 2 * sums.stride;
  const typename V::F reset = sigmoid_of<V>(gate_sum<V, kWhole>(sums, 1, n));
  return V::fma(reset, load<V, kWhole>(sums.recurrent + at, n), load<V, kWhole>(sums.input + at, n));
}

template <class V, bool kWhole>
LINNET_INLINE void mix_state(typename V::F update, typename V::F candidate, float* state, size_t n) {
  const typename V::F e = tanh_of<V>(candidate);
  store<V, kWhole>(state, V::fma(update, V::sub(load<V, kWhole>(state, n), e), e), n);
}

template <class V, bool kWhole>
LINNET_INLINE void gates_some(const GateSums& sums, float* state, size_t n) {
  const typename V::F update = sigmoid_of<V>(gate_sum<V, kWhole>(sums, 0, n));
  mix_state<V, kWhole>(update, candidate_of<V, kWhole>(sums, n), state, n);
}

template <class V>
void gates(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  const GateSums sums = {recurrent, input, stride};
  uint32_t i = 0;
  for (; i + V::kWidth <= units; i += V::kWidth) gates_some<V, true>(sums.from(i), state + i, 0);
  if (i < units) gates_some<V, false>(sums.from(i), state + i, units - i);
}

template <class V, bool kWhole>
LINNET_INLINE void first_pass(const GateSums& sums, float* update, float* candidate, size_t n) {
  V::store(update, sigmoid_of<V>(gate_sum<V, kWhole>(sums, 0, n)));
  V::store(candidate, candidate_of<V, kWhole>(sums, n));
}

// The same in two passes over pieces of kPiece units: a unit's candidate waits for its reset gate, and the units
// between are too many for the reorder buffer of a wide core to fill that time (30 % of this kernel's time, AVX2 on Zen
// 4).
template <class V, uint32_t kPiece>
void gates_in_pieces(uint32_t units, uint32_t stride, const float* recurrent, const float* input, float* state) {
  alignas(64) float update[kPiece], candidate[kPiece];
  for (uint32_t start = 0; start < units; start += kPiece) {
    const uint32_t left = units - start, n = left < kPiece ? left : kPiece;
    const GateSums sums = {recurrent + start, input + start, stride};
    float* s = state + start;
    uint32_t k = 0;
    for (; k + V::kWidth <= n; k += V::kWidth) first_pass<V, true>(sums.from(k), update + k, candidate + k, 0);
    if (k < n) first_pass<V, false>(sums.from(k), update + k, candidate + k, n - k);
    for (k = 0; k + V::kWidth <= n; k += V::kWidth)
      mix_state<V, true>(V::load(update + k), V::load(candidate + k), s + k, 0);
    if (k < n) mix_state<V, false>(V::load(update + k), V::load(candidate + k), s + k, n - k);
  }
}

template <class V>
float exponentials(uint32_t n, float inverse_temperature, const float* logits, float* e, float* groups) {
  using F = typename V::F;
  F most = V::all(-INFINITY);
  uint32_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) most = V::greater(V::load(logits + i), most);
  float greatest = V::greatest(most);
  for (; i < n; ++i) greatest = logits[i] > greatest ? logits[i] : greatest;

  const F m = V::all(greatest), s = V::all(inverse_temperature);
  constexpr uint32_t kRegisters = kGroup / V::kWidth;
  F parts[kRegisters];
  for (i = 0; i + kGroup <= n; i += kGroup) {
    for (uint32_t h = 0; h < kRegisters; ++h) {
      parts[h] = exp_of<V>(V::mul(V::sub(V::load(logits + i + V::kWidth * h), m), s));
      V::store(e + i + V::kWidth * h, parts[h]);
    }
    groups[i / kGroup] = V::fold(parts);
  }
  if (i == n) return greatest;
  float last[kGroup];
  for (uint32_t k = 0; k < kGroup; ++k) last[k] = i + k < n ? logits[i + k] : greatest;
  for (uint32_t h = 0; h < kRegisters; ++h) {
    const size_t at = V::kWidth * h, left = n - i > at ? n - i - at : 0;
    parts[h] = exp_of<V>(V::mul(V::sub(V::load(last + at), m), s));
    if (left < V::kWidth) parts[h] = V::keep(parts[h], left);
    V::store(e + i + at, parts[h]);
  }
  groups[i / kGroup] = V::fold(parts);
  return greatest;
}

template <class V>
void upsample(uint32_t n_rows, uint32_t window, uint32_t channels, const float* weights, const float* in,
              uint32_t row_stride, float* out) {
  for (uint32_t i = 0; i < n_rows; ++i) {
    const float* row = weights + size_t{i} * window;
    float* y = out + size_t{i} * row_stride;
    uint32_t c = 0;
    for (; c + V::kWidth <= channels; c += V::kWidth) {
      typename V::F sum = V::all(0.0f);
      for (uint32_t j = 0; j < window; ++j) sum = V::fma(V::all(row[j]), V::load(in + size_t{j} * channels + c), sum);
      V::store(y + c, sum);
    }
    for (; c < channels; ++c) {
      float sum = 0.0f;
      for (uint32_t j = 0; j < window; ++j) sum = fused(row[j], in[size_t{j} * channels + c], sum);
      y[c] = sum;
    }
  }
}

// Two registers at a time: a harmonic follows from the one before, and the time between is filled by the other.
template <class V>
void harmonics(uint32_t n, uint32_t count, const float* cosine, const float* sine, const float* at, const float* parts,
               uint32_t stride, float* out) {
  using F = typename V::F;
  const float *c0 = parts, *s0 = c0 + stride, *c1 = s0 + stride, *s1 = c1 + stride;
  constexpr uint32_t kRegisters = V::kWidth < kGroup ? 2 : 1;
  for (uint32_t i = 0; i < n; i += kRegisters * V::kWidth) {
    F c[kRegisters], s[kRegisters], sum[kRegisters];
    for (uint32_t h = 0; h < kRegisters; ++h) {
      c[h] = V::all(1.0f);
      s[h] = V::all(0.0f);
      sum[h] = V::load(out + i + V::kWidth * h);
    }
    for (uint32_t k = 0; k < count; ++k) {
      const F first_c = V::all(c0[k]), first_s = V::all(s0[k]);
      const F more_c = V::all(c1[k] - c0[k]), more_s = V::all(s1[k] - s0[k]);
      for (uint32_t h = 0; h < kRegisters; ++h) {
        const uint32_t j = i + V::kWidth * h;
        const F before = c[h], cos_1 = V::load(cosine + j), sin_1 = V::load(sine + j), x = V::load(at + j);
        c[h] = V::fma(V::negate(s[h]), sin_1, V::mul(before, cos_1));
        s[h] = V::fma(s[h], cos_1, V::mul(before, sin_1));
        sum[h] = V::fma(V::fma(more_c, x, first_c), c[h], sum[h]);
        sum[h] = V::fma(V::fma(more_s, x, first_s), s[h], sum[h]);
      }
    }
    for (uint32_t h = 0; h < kRegisters; ++h) V::store(out + i + V::kWidth * h, sum[h]);
  }
}

template <class V, bool kWhole>
LINNET_INLINE void correct_some(const Correction& c, const float* features, float* bands, size_t n) {
  using F = typename V::F;
  const F own = V::greater(load<V, kWhole>(bands, n), V::all(c.floor));
  const F wanted = V::fma(V::all(c.scale), load<V, kWhole>(features, n), V::all(c.offset));
  const F d = V::mul(V::sub(wanted, log_of<V>(own)), V::all(c.strength));
  store<V, kWhole>(bands, V::less(V::greater(d, V::all(-c.limit)), V::all(c.limit)), n);
}

template <class V>
void corrections(uint32_t n, const Correction& c, const float* features, float* bands) {
  uint32_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) correct_some<V, true>(c, features + i, bands + i, 0);
  if (i < n) correct_some<V, false>(c, features + i, bands + i, n - i);
}

template <class V, bool kWhole>
LINNET_INLINE void put_some(float share, float momentum, const float* frame, const float* synthesis, float* before,
                            float* piece, float* signal, size_t n) {
  using F = typename V::F;
  F made = V::mul(V::mul(load<V, kWhole>(frame, n), V::all(share)), load<V, kWhole>(synthesis, n));
  if (before != nullptr) {
    const F target = made;
    made = V::fma(V::all(momentum), V::sub(target, load<V, kWhole>(before, n)), target);
    store<V, kWhole>(before, target, n);
  }
  store<V, kWhole>(signal, V::add(load<V, kWhole>(signal, n), V::sub(made, load<V, kWhole>(piece, n))), n);
  store<V, kWhole>(piece, made, n);
}

template <class V>
void put_piece(uint32_t n, float share, float momentum, const float* frame, const float* synthesis, float* before,
               float* piece, float* signal) {
  uint32_t i = 0;
  const auto at = [&](uint32_t k) { return before == nullptr ? nullptr : before + k; };
  for (; i + V::kWidth <= n; i += V::kWidth)
    put_some<V, true>(share, momentum, frame + i, synthesis + i, at(i), piece + i, signal + i, 0);
  if (i < n) put_some<V, false>(share, momentum, frame + i, synthesis + i, at(i), piece + i, signal + i, n - i);
}

// W: stored weights, of which load16 widens sixteen to Wide, for store16.
template <class W>
void widen(uint32_t n, const void* values, float* out) {
  const auto* v = static_cast<const typename W::Stored*>(values);
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) store16(out + i, W::load16(v + i));
  if (i < n) {
    typename W::Stored rest[16] = {};
    float t[16];
    memcpy(rest, v + i, (n - i) * sizeof *v);
    store16(t, W::load16(rest));
    memcpy(out + i, t, (n - i) * sizeof *out);
  }
}

// A product by the width of its column indices.
template <MatvecFn narrow, MatvecFn wide>
void by_index_width(const Matrix& w, const float* x, const float* bias, float* y) {
  (w.index_width == 1 ? narrow : wide)(w, x, bias, y);
}

}  // namespace
}  // namespace linnet
