// Every kernel of every set on arrays of exactly the promised size, so that AddressSanitizer sees a step beyond them;
// each result has the bits of the portable set. Usage: kernels_exact [SEED]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/fourier.h"

namespace {

using namespace linnet;

// Heap memory of exactly n elements.
template <class T>
class Exact {
 public:
  explicit Exact(size_t n) : data_(static_cast<T*>(::operator new(n * sizeof(T), kAlignment))), n_(n) {}
  ~Exact() { ::operator delete(data_, kAlignment); }
  Exact(const Exact&) = delete;
  Exact& operator=(const Exact&) = delete;
  T* data() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return n_; }
  bool same_bits(const Exact& other) const { return memcmp(data_, other.data_, n_ * sizeof(T)) == 0; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  T* data_;
  size_t n_;
};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t bits() {  // xorshift64*
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1Dull) >> 32);
  }
  uint32_t below(uint32_t n) { return bits() % n; }
  float value() {  // a sign, 24 random bits, exponents that leave sums finite
    const float magnitude = std::ldexp(static_cast<float>(bits() >> 8), static_cast<int>(below(40)) - 50);
    return below(2) ? magnitude : -magnitude;
  }
  float moderate() {
    return static_cast<float>(bits() >> 8) * 0x1p-21f - 4.0f;
  }  // where exp, sigmoid and tanh have slope
  void fill(const Exact<float>& a) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = value();
  }
  void fill_moderate(const Exact<float>& a) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = below(10) ? moderate() : value();
  }

 private:
  uint64_t state_;
};

void fail(const char* what, const char* kernels, const Matrix* w = nullptr) {
  fprintf(stderr, "%s: %s differs from portable\n", kernels, what);
  if (w) {
    fprintf(stderr, "layout %u, dtype %u, %u x %u, index width %u\n", static_cast<unsigned>(w->layout),
            static_cast<unsigned>(w->dtype), w->rows, w->cols, w->index_width);
  }
  exit(1);
}

void missing(const char* kernels, const char* what) {
  fprintf(stderr, "%s: %s is missing\n", kernels, what);
  exit(1);
}

// Any finite weight that is not so large that sums overflow; fp16 in its whole range, subnormals included.
void put_weight(Dtype dtype, const Exact<unsigned char>& values, size_t i, bool inside, Random& random) {
  if (dtype == Dtype::int8) {
    values[i] = static_cast<unsigned char>(inside ? static_cast<int>(random.below(255)) - 127 : 0);
    if (inside && random.below(4) == 0) values[i] = random.below(2) ? 127 : 129;  // -127
    return;
  }
  const float value = inside ? random.value() : 0.0f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t half = static_cast<uint16_t>(bits >> 16);
  if (dtype == Dtype::fp32) {
    memcpy(values.data() + 4 * i, &bits, 4);
    return;
  }
  if (dtype == Dtype::fp16 && inside) {
    half = static_cast<uint16_t>(random.bits());
    if ((half & 0x7c00) == 0x7c00) half &= 0x83ff;  // infinities and NaNs become subnormals
  }
  memcpy(values.data() + 2 * i, &half, 2);
}

struct StoredBlock {
  uint32_t row, col;
  bool real;  // not there to fill a quad up
};

// Four block rows at a time in the given order; blocks of zeros fill up the shorter ones.
std::vector<Quad> pack_quads(const std::vector<uint32_t>& order, const std::vector<std::vector<uint32_t>>& pattern,
                             std::vector<StoredBlock>* blocks) {
  std::vector<Quad> quads;
  for (size_t first = 0; first < order.size(); first += 4) {
    const size_t n = std::min<size_t>(4, order.size() - first);
    Quad quad = {{kNoBlockRow, kNoBlockRow, kNoBlockRow, kNoBlockRow}, 0};
    for (size_t r = 0; r < n; ++r) {
      quad.block_rows[r] = static_cast<uint16_t>(order[first + r]);
      quad.depth = std::max(quad.depth, static_cast<uint32_t>(pattern[order[first + r]].size()));
    }
    for (uint32_t step = 0; step < quad.depth; ++step) {
      for (size_t r = 0; r < 4; ++r) {
        static const std::vector<uint32_t> kNone;
        const std::vector<uint32_t>& cols = r < n ? pattern[order[first + r]] : kNone;
        const bool real = step < cols.size();
        blocks->push_back({quad.block_rows[r], real ? cols[step] : cols.empty() ? 0 : cols.back(), real});
      }
    }
    quads.push_back(quad);
  }
  return quads;
}

// Up to kTogether vectors, each in memory of its own.
void check_products_together(const Matrix& w, size_t padded_cols, const float* bias, Random& random) {
  const uint32_t n = kFewest * (1 + random.below(kTogether / kFewest));
  const float* b = random.below(2) ? bias : nullptr;
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  std::vector<std::unique_ptr<Exact<float>>> x, expected, y;
  const float* in[kTogether];
  float* out[kTogether];
  for (uint32_t l = 0; l < n; ++l) {
    x.push_back(std::make_unique<Exact<float>>(padded_cols));
    expected.push_back(std::make_unique<Exact<float>>(w.rows));
    y.push_back(std::make_unique<Exact<float>>(w.rows));
    random.fill(*x[l]);
    portable.matvec_for(w)(w, x[l]->data(), b, expected[l]->data());
    in[l] = x[l]->data();
    out[l] = y[l]->data();
  }
  const Exact<float> packed(n * padded_cols);
  for (size_t s = 0; kernel_name(s); ++s) {
    select_kernels(kernel_name(s), &kernels);
    const MatvecsFn matvecs = kernels.matvecs_for(w);
    if (matvecs == nullptr) continue;
    for (uint32_t l = 0; l < n; ++l) memset(out[l], 0xff, w.rows * sizeof(float));
    matvecs(w, n, in, b, packed.data(), out);
    for (uint32_t l = 0; l < n; ++l) {
      if (!y[l]->same_bits(*expected[l])) fail("a product together with others", kernels.name, &w);
    }
  }
}

void check_product(Layout layout, Dtype dtype, uint32_t rows, uint32_t cols, uint32_t percent, Random& random) {
  const BlockShape block = block_shape(layout, dtype);
  const uint32_t block_rows = (rows + block.rows - 1) / block.rows, block_cols = (cols + block.cols - 1) / block.cols;
  const bool dense = layout == Layout::dense;
  const uint32_t index_width = block_cols > 256 ? 2 : 1;

  // Dense: every column of every panel. Blocks: quads of any four block rows, as long as the longest of them.
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < block_rows; ++i) order.push_back(i);
  for (uint32_t i = block_rows; i > 1 && !dense; --i) std::swap(order[i - 1], order[random.below(i)]);
  std::vector<std::vector<uint32_t>> pattern(block_rows);
  for (auto& row : pattern) {
    for (uint32_t j = 0; j < block_cols; ++j) {
      if (dense || random.below(100) < percent) row.push_back(j);
    }
  }

  std::vector<StoredBlock> blocks;
  std::vector<Quad> quads;
  if (dense) {
    for (uint32_t i = 0; i < block_rows; ++i) {
      for (uint32_t j : pattern[i]) blocks.push_back({i, j, true});
    }
  } else {
    quads = pack_quads(order, pattern, &blocks);
  }

  const size_t block_size = size_t{block.rows} * block.cols;
  Exact<unsigned char> values(blocks.size() * block_size * weight_bytes(dtype));
  Exact<unsigned char> columns(dense ? 0 : blocks.size() * index_width);
  Exact<Quad> exact_quads(quads.size());
  std::copy(quads.begin(), quads.end(), exact_quads.data());
  for (size_t k = 0; k < blocks.size(); ++k) {
    const StoredBlock& b = blocks[k];
    for (size_t e = 0; e < block_size; ++e) {
      const bool inside = b.row * block.rows + e / block.cols < rows && b.col * block.cols + e % block.cols < cols;
      put_weight(dtype, values, k * block_size + e, b.real && inside, random);
    }
    const uint16_t wide = static_cast<uint16_t>(b.col);
    if (!dense && index_width == 2) memcpy(columns.data() + 2 * k, &wide, 2);
    if (!dense && index_width == 1) columns[k] = static_cast<uint8_t>(b.col);
  }
  Exact<float> scales(rows);
  random.fill(scales);
  const Matrix w = {layout,
                    dtype,
                    rows,
                    cols,
                    static_cast<uint32_t>(quads.size()),
                    dense ? 0 : index_width,
                    values.data(),
                    dense ? nullptr : columns.data(),
                    dense ? nullptr : exact_quads.data(),
                    dtype == Dtype::int8 ? scales.data() : nullptr,
                    random.below(2) ? 0.5f : 0.0f};

  Exact<float> x(size_t{block_cols} * block.cols), bias(rows), expected(rows), y(rows);
  random.fill(x);
  random.fill(bias);
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  for (const float* b : {static_cast<const float*>(bias.data()), static_cast<const float*>(nullptr)}) {
    memset(expected.data(), 0xff, rows * sizeof(float));
    portable.matvec_for(w)(w, x.data(), b, expected.data());
    for (size_t s = 0; kernel_name(s); ++s) {
      select_kernels(kernel_name(s), &kernels);
      memset(y.data(), 0xff, rows * sizeof(float));
      kernels.matvec_for(w)(w, x.data(), b, y.data());
      for (uint32_t r = 0; r < rows; ++r) {
        if (std::isnan(y[r])) fail("a row that was not written", kernels.name, &w);
      }
      if (!y.same_bits(expected)) fail("product", kernels.name, &w);
    }
  }
  check_products_together(w, x.size(), bias.data(), random);
}

void check_vector_functions(const char* name, uint32_t n, Random& random) {
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  select_kernels(name, &kernels);

  Exact<float> start(n), add(n), y(n), z(n);
  random.fill_moderate(start);
  random.fill_moderate(add);
  if (random.below(2)) start[random.below(n)] = std::numeric_limits<float>::quiet_NaN();
  if (random.below(2)) start[random.below(n)] = -std::numeric_limits<float>::infinity();
  for (Activation activation :
       {Activation::none, Activation::relu, Activation::tanh, Activation::sigmoid, Activation::exp}) {
    for (const float* a : {static_cast<const float*>(add.data()), static_cast<const float*>(nullptr)}) {
      memcpy(y.data(), start.data(), n * sizeof(float));
      memcpy(z.data(), start.data(), n * sizeof(float));
      portable.activate(n, activation, a, y.data());
      kernels.activate(n, activation, a, z.data());
      if (!y.same_bits(z)) fail("activate", name);
    }
  }

  Exact<float> recurrent(size_t{3} * n), input(size_t{3} * n);
  random.fill_moderate(recurrent);
  random.fill_moderate(input);
  random.fill_moderate(y);
  memcpy(z.data(), y.data(), n * sizeof(float));
  portable.gates(n, n, recurrent.data(), input.data(), y.data());
  kernels.gates(n, n, recurrent.data(), input.data(), z.data());
  if (!y.same_bits(z)) fail("gates", name);

  const uint32_t padded = (n + kGroup - 1) / kGroup * kGroup;
  Exact<float> e(padded), f(padded), groups(padded / kGroup), sums(padded / kGroup);
  const float greatest = portable.exponentials(n, 1.25f, start.data(), e.data(), groups.data());
  const float other = kernels.exponentials(n, 1.25f, start.data(), f.data(), sums.data());
  if (!(greatest == other) || !e.same_bits(f) || !groups.same_bits(sums)) fail("exponentials", name);

  for (Dtype dtype : kDtypes) {
    Exact<unsigned char> stored(size_t{n} * weight_bytes(dtype));
    for (size_t i = 0; i < n; ++i) put_weight(dtype, stored, i, true, random);
    portable.widen[dtype](n, stored.data(), y.data());
    kernels.widen[dtype](n, stored.data(), z.data());
    if (!y.same_bits(z)) fail("widen", name);
  }
}

void check_upsample(const char* name, uint32_t rows, uint32_t window, uint32_t channels, Random& random) {
  const uint32_t stride = channels + random.below(3);
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  select_kernels(name, &kernels);
  Exact<float> weights(size_t{rows} * window), in(size_t{window} * channels);
  Exact<float> out(size_t{rows - 1} * stride + channels), other(out.size());
  random.fill(weights);
  random.fill(in);
  random.fill(out);
  memcpy(other.data(), out.data(), out.size() * sizeof(float));  // what lies between the rows stays
  portable.upsample(rows, window, channels, weights.data(), in.data(), stride, out.data());
  kernels.upsample(rows, window, channels, weights.data(), in.data(), stride, other.data());
  if (!out.same_bits(other)) fail("upsample", name);
}

// A Fourier's arrays.
struct Transform {
  explicit Transform(uint32_t n)
      : twiddles(n),
        first_twiddles(3 * n / 2),
        frame(n),
        re(n / 2 + 1),
        im(n / 2 + 1),
        re2(n / 2 + 1),
        im2(n / 2 + 1) {}

  Fourier with(const Exact<float>& these) const {
    memcpy(twiddles.data(), these.data(), these.size() * sizeof(float));
    put_first_twiddles(static_cast<uint32_t>(these.size()), twiddles.data(), first_twiddles.data());
    return {static_cast<uint32_t>(these.size()),
            twiddles.data(),
            first_twiddles.data(),
            frame.data(),
            re.data(),
            im.data(),
            re2.data(),
            im2.data()};
  }

  Exact<float> twiddles, first_twiddles, frame, re, im, re2, im2;
};

// A frame of n numbers to its spectrum, and back.
void check_transforms(const char* name, uint32_t n, Random& random) {
  const uint32_t size = 2 * (1 + random.below(n / 2)), power = 1 + random.below(2);
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  select_kernels(name, &kernels);
  Exact<float> twiddles(n), signal(size), window(size), gain(n / 2 + 1), sizes(n / 2 + 1), other_sizes(n / 2 + 1);
  random.fill_moderate(twiddles);
  random.fill_moderate(signal);
  random.fill_moderate(window);
  random.fill_moderate(gain);
  const Transform transform(n), other(n);
  const Fourier ours = transform.with(twiddles), theirs = other.with(twiddles);
  portable.spectrum(ours, power, size, signal.data(), window.data(), sizes.data());
  kernels.spectrum(theirs, power, size, signal.data(), window.data(), other_sizes.data());
  if (!sizes.same_bits(other_sizes) || !transform.re.same_bits(other.re) || !transform.im.same_bits(other.im))
    fail("spectrum", name);
  portable.from_spectrum(ours, gain.data());
  kernels.from_spectrum(theirs, gain.data());
  if (!transform.frame.same_bits(other.frame)) fail("from_spectrum", name);
}

void check_matching_functions(const char* name, uint32_t n, Random& random) {
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  select_kernels(name, &kernels);
  Exact<float> features(n), bands(n), other_bands(n), before(n), other_before(n), piece(n), other_piece(n), signal(n),
      other_signal(n);
  for (const Exact<float>* array : {&features, &bands, &before, &piece, &signal}) random.fill_moderate(*array);
  memcpy(other_bands.data(), bands.data(), n * sizeof(float));
  memcpy(other_before.data(), before.data(), n * sizeof(float));
  memcpy(other_piece.data(), piece.data(), n * sizeof(float));
  memcpy(other_signal.data(), signal.data(), n * sizeof(float));
  const Correction correction = {random.moderate(), random.moderate(), 0x1p-30f, 1.3f, 4.6f};
  portable.corrections(n, correction, features.data(), bands.data());
  kernels.corrections(n, correction, features.data(), other_bands.data());
  if (!bands.same_bits(other_bands)) fail("corrections", name);
  const bool moves = random.below(2) != 0;
  portable.put_piece(n, 0.125f, 0.6f, features.data(), bands.data(), moves ? before.data() : nullptr, piece.data(),
                     signal.data());
  kernels.put_piece(n, 0.125f, 0.6f, features.data(), bands.data(), moves ? other_before.data() : nullptr,
                    other_piece.data(), other_signal.data());
  if (!piece.same_bits(other_piece) || !signal.same_bits(other_signal) || !before.same_bits(other_before))
    fail("put_piece", name);
}

void check_all_pole(const char* name, uint32_t n, uint32_t order, Random& random) {
  Kernels portable, kernels;
  select_kernels("portable", &portable);
  select_kernels(name, &kernels);
  Exact<float> coefficients(order), excitation(n), samples(n + order), others(n + order);
  for (const Exact<float>* array : {&coefficients, &excitation, &samples}) random.fill_moderate(*array);
  memcpy(others.data(), samples.data(), (n + order) * sizeof(float));
  const float gain = random.moderate();
  portable.all_pole(n, order, gain, coefficients.data(), excitation.data(), samples.data() + n);
  kernels.all_pole(n, order, gain, coefficients.data(), excitation.data(), others.data() + n);
  if (!samples.same_bits(others)) fail("all_pole", name);
}

// Every entry that a model can ask for is there, in every set: those of `matvecs` alone may be null. The layouts and
// types are those of the contract, so that a new one without a kernel is found here.
void check_complete(const char* name) {
  Kernels kernels;
  if (!select_kernels(name, &kernels) || strcmp(kernels.name, name) != 0) missing(name, "the set itself");
  for (Layout layout : kLayouts) {
    for (Dtype dtype : kDtypes) {
      if (is_matrix(layout) != (kernels.matvec[layout][dtype] != nullptr)) missing(name, "matvec");
      if (!is_matrix(layout) && kernels.matvecs[layout][dtype] != nullptr) missing(name, "matvecs");
    }
  }
  for (Dtype dtype : kDtypes) {
    if (kernels.widen[dtype] == nullptr || kernels.stream_limit[dtype] == nullptr) missing(name, "widen");
  }
  if (!kernels.activate || !kernels.gates || !kernels.exponentials || !kernels.upsample || !kernels.harmonics ||
      !kernels.all_pole || !kernels.spectrum || !kernels.from_spectrum || !kernels.corrections || !kernels.put_piece)
    missing(name, "a function");
}

}  // namespace

int main(int argc, char** argv) {
  Random random(argc > 1 ? strtoull(argv[1], nullptr, 10) : 1);
  for (size_t s = 0; kernel_name(s); ++s) check_complete(kernel_name(s));
  for (Layout layout : kLayouts) {
    if (!is_matrix(layout)) continue;
    for (Dtype dtype : kDtypes) {
      for (int i = 0; i < 40; ++i)
        check_product(layout, dtype, 1 + random.below(70), 1 + random.below(70), random.below(101), random);
      check_product(layout, dtype, 33, 16 * 256 + 1, 10, random);  // indices of two bytes in every layout
    }
  }
  for (size_t s = 0; kernel_name(s); ++s) {
    for (int i = 0; i < 40; ++i) {
      check_vector_functions(kernel_name(s), 1 + random.below(70), random);
      check_matching_functions(kernel_name(s), 1 + random.below(70), random);
      check_all_pole(kernel_name(s), 1 + random.below(64), 1 + random.below(64), random);
      check_upsample(kernel_name(s), 1 + random.below(9), 1 + random.below(5), 1 + random.below(40), random);
    }
    for (uint32_t n = 16; n <= 4096; n *= 2) check_transforms(kernel_name(s), n, random);
    printf("%s\n", kernel_name(s));
  }
  return 0;
}
