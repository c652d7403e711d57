// The contract between the engine and the kernels. One table per kernel set; every set gives the same bits.
// The orders of sums and the functions are those of export/FORMAT.md, "Arithmetic"; portable.cpp spells them out.
//
// Kernels check nothing: file/ has proved every index and size. They read exactly the stored weights and indices;
// of x the floats up to the next multiple of the block's columns; they write exactly `rows` floats of y.
// x and y need no alignment; values start at multiples of 32 bytes, columns and quads of 4: a matrix may be some of the
// panels or quads of another, one thread's share. y overlaps nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

// The numbers are those of the file. A new one needs a place in every switch, which the compiler checks.
enum class Layout : uint32_t { vector, table, dense, block_4x4, block_16x1, block_1x16, block_1x4, block_8x4 };
enum class Dtype : uint32_t { fp16 = 1, bf16 = 2, fp32 = 3, int8 = 4 };
enum class Activation : uint32_t { none, relu, tanh, sigmoid, exp };

constexpr Layout kLayouts[] = {Layout::vector,     Layout::table,      Layout::dense,     Layout::block_4x4,
                               Layout::block_16x1, Layout::block_1x16, Layout::block_1x4, Layout::block_8x4};
constexpr Dtype kDtypes[] = {Dtype::fp16, Dtype::bf16, Dtype::fp32, Dtype::int8};
constexpr uint32_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];
constexpr uint32_t kDtypeCount = sizeof kDtypes / sizeof kDtypes[0];

constexpr bool known_layout(uint32_t number) { return number < kLayoutCount; }
constexpr bool known_dtype(uint32_t number) { return number - 1 < kDtypeCount; }

// Bytes of one stored weight.
constexpr uint32_t weight_bytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::fp16:
    case Dtype::bf16:
      return 2;
    case Dtype::fp32:
      return 4;
    case Dtype::int8:
      return 1;
  }
  return 0;
}

// As linnet.h and Python call it.
constexpr const char* dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::fp16:
      return "float16";
    case Dtype::bf16:
      return "bfloat16";
    case Dtype::fp32:
      return "float32";
    case Dtype::int8:
      return "int8";
  }
  return nullptr;
}

constexpr const char* layout_name(Layout layout) {
  switch (layout) {
    case Layout::vector:
      return "vector";
    case Layout::table:
      return "table";
    case Layout::dense:
      return "dense";
    case Layout::block_4x4:
      return "4x4";
    case Layout::block_16x1:
      return "16x1";
    case Layout::block_1x16:
      return "1x16";
    case Layout::block_1x4:
      return "1x4";
    case Layout::block_8x4:
      return "8x4";
  }
  return nullptr;
}

struct BlockShape {
  uint32_t rows, cols;
};

// Rows and columns of a layout's block. A dense panel has 16 rows and reads x one by one, in int8 four by four.
constexpr BlockShape block_shape(Layout layout, Dtype dtype) {
  switch (layout) {
    case Layout::vector:
    case Layout::table:
      return {1, 1};
    case Layout::dense:
      return {16, dtype == Dtype::int8 ? 4u : 1u};
    case Layout::block_16x1:
      return {16, 1};
    case Layout::block_4x4:
      return {4, 4};
    case Layout::block_1x16:
      return {1, 16};
    case Layout::block_1x4:
      return {1, 4};
    case Layout::block_8x4:
      return {8, 4};
  }
  return {0, 0};
}

constexpr bool is_sparse(Layout layout) {
  return layout != Layout::vector && layout != Layout::table && layout != Layout::dense;
}
constexpr bool is_matrix(Layout layout) { return layout == Layout::dense || is_sparse(layout); }

constexpr uint64_t round_up(uint64_t n, uint64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

constexpr uint32_t kTogether = 8;  // vectors at most that one product takes together
constexpr uint32_t kFewest = 4;    // vectors at least: with fewer, nothing is gained (0.9 to 1.0 times as fast, AVX2)
constexpr uint32_t kGroup = 16;    // classes of a draw that are summed together; also the padding of vectors, in floats

// Of an int8 matrix. Its columns: a product keeps its operand, rounded, on the stack. The weights of a stored row,
// among them those of blocks that name a column again: 2^17 products of up to 127 x 127 are less than 2^31.
constexpr uint32_t kMostInt8Columns = 16384;
constexpr uint32_t kMostInt8Weights = 131072;

// An operand whose magnitudes are not above this counts as zero: their inverse is finite.
constexpr float kLeastInt8Range = 0x1p-100f;
constexpr uint32_t kMostHarmonicSamples = 64;  // that one call makes

// Four block rows whose blocks are stored in turn.
struct Quad {
  uint16_t block_rows[4];  // kNoBlockRow where there is none
  uint32_t depth;          // blocks of each block row
};

// Times the rows of any block, it lies beyond the last row of every matrix: `row < rows` is false for it.
constexpr uint16_t kNoBlockRow = 65535;

// A matrix in place: pointers into the file.
struct Matrix {
  Layout layout;
  Dtype dtype;
  uint32_t rows;
  uint32_t cols;
  uint32_t n_quads;      // 0 where dense
  uint32_t index_width;  // bytes of a column index
  const void* values;
  const void* columns;            // (n_blocks) uint8_t or uint16_t; null where dense
  const Quad* quads;              // (n_quads); null where dense
  const float* scales = nullptr;  // (rows); null where the type has none
  float input_range = 0.0f;       // x of an int8 product lies within +- this; 0: within its own greatest magnitude

  // Columns that a product reads: up to a whole block.
  uint64_t padded_cols() const { return round_up(cols, block_shape(layout, dtype).cols); }
  uint32_t block_rows() const {
    const BlockShape shape = block_shape(layout, dtype);
    return static_cast<uint32_t>(round_up(rows, shape.rows)) / shape.rows;
  }
  uint32_t block_cols() const { return static_cast<uint32_t>(padded_cols()) / block_shape(layout, dtype).cols; }
};

// y = W x + bias. In int8, x is rounded to integers first.
using MatvecFn = void (*)(const Matrix& w,
                          const float* x,     // (cols, readable up to the next multiple of the block's columns)
                          const float* bias,  // (rows) or null
                          float* y);          // (rows)

// y[l] = W x[l] + bias for a multiple of kFewest vectors, up to kTogether; each has the bits that a MatvecFn gives it.
using MatvecsFn = void (*)(const Matrix& w, uint32_t n,
                           const float* const* x,  // (n) pointers as above
                           const float* bias,      // (rows) or null
                           float* packed,          // (n, cols up to the next multiple of the block's columns) scratch
                           float* const* y);       // (n, rows); vectors that are the same may share one

// out = the n weights at `values`, widened; of int8, the integers.
using WidenFn = void (*)(uint32_t n, const void* values, float* out);

// The stream limit, for benchmarks: loads n weights (a multiple of 64) in order, widens them, multiply-adds them into
// registers with a constant, and nothing else. No product takes less time; the sum has no meaning.
using StreamLimitFn = float (*)(size_t n, const void* values);

// One entry for each storage type.
template <class Function>
struct ByDtype {
  Function entries[kDtypeCount];

  Function& operator[](Dtype dtype) { return entries[static_cast<uint32_t>(dtype) - 1]; }
  Function operator[](Dtype dtype) const { return entries[static_cast<uint32_t>(dtype) - 1]; }
};

// One entry for each layout and storage type; those of vectors and tables stay null.
template <class Function>
struct ByStorage {
  ByDtype<Function> entries[kLayoutCount];

  ByDtype<Function>& operator[](Layout layout) { return entries[static_cast<uint32_t>(layout)]; }
  const ByDtype<Function>& operator[](Layout layout) const { return entries[static_cast<uint32_t>(layout)]; }
};

struct Correction;  // kernels/arithmetic.h
struct Fourier;     // kernels/fourier.h

struct Kernels {
  const char* name;

  ByStorage<MatvecFn> matvec;
  ByStorage<MatvecsFn> matvecs;  // null: matvec, one by one

  // y = activation(y + add).
  void (*activate)(uint32_t n, Activation activation,
                   const float* add,  // (n) or null; may be y
                   float* y);         // (n)

  // One GRU step; recurrent and input hold update, reset and candidate sums, `stride` floats from one to the next.
  void (*gates)(uint32_t units, uint32_t stride,
                const float* recurrent,  // (3, units)
                const float* input,      // (3, units)
                float* state);           // (units), read and written

  // e[i] = exp((logits[i] - max) / temperature), +0 from n up to a multiple of 16; groups[k] = the folded sum of 16 of
  // them. Returns the greatest logit.
  float (*exponentials)(uint32_t n, float inverse_temperature,
                        const float* logits,  // (n)
                        float* e,             // (n rounded up to 16)
                        float* groups);       // (n / 16 rounded up)

  // out[i][c] = sum over j of weights[i][j] in[j][c].
  void (*upsample)(uint32_t n_rows, uint32_t window, uint32_t channels,
                   const float* weights,  // (n_rows, window)
                   const float* in,       // (window, channels)
                   uint32_t row_stride,   // floats
                   float* out);           // (n_rows, channels), rows row_stride apart

  // out[i] += the sum over k of (cosine part k) cos(k + 1 turns of i) + (sine part k) sin(k + 1 turns of i). A part
  // lies between those of two frames, by at[i].
  void (*harmonics)(uint32_t n,           // a multiple of 16, up to kMostHarmonicSamples
                    uint32_t count,       // of harmonics
                    const float* cosine,  // (n) of the turn of the first harmonic
                    const float* sine,    // (n)
                    const float* at,      // (n) 0 .. 1
                    const float* parts,   // (2, 2, stride): of each frame, the cosine parts and the sine parts
                    uint32_t stride,      // floats, at least `count`
                    float* out);          // (n)

  // An all-pole filter: samples[-1 - i] is the one that excitation[i] gives, those before it stand behind it.
  void (*all_pole)(uint32_t n, uint32_t order, float gain,
                   const float* coefficients,  // (order)
                   const float* excitation,    // (n)
                   float* samples);            // (order), the newest first, with room for n before them

  // The spectrum of `signal` within a window, which stands in the middle of the frame, and its bins' magnitudes to a
  // power of 1 or 2.
  void (*spectrum)(const Fourier& fourier, uint32_t power,
                   uint32_t size,        // of the window; even, up to the transform's
                   const float* signal,  // (size)
                   const float* window,  // (size)
                   float* sizes);        // (n / 2 + 1)

  // n times the frame whose spectrum this is, every bin with its gain. The spectrum is lost.
  void (*from_spectrum)(const Fourier& fourier,
                        const float* gain);  // (n / 2 + 1)

  // What is missing of a band, as a logarithm: bands[i] = (scale features[i] + offset - log(bands[i], at least floor))
  // strength, within -limit .. limit.
  void (*corrections)(uint32_t n, const Correction& correction,
                      const float* features,  // (n)
                      float* bands);          // (n)

  // The end of an iteration on a frame that is matched: target[i] = (frame[i] share) synthesis[i]; new = target, or
  // with `before`, the last target, target + momentum (target - before); signal[i] += new - piece[i]; piece[i] = new.
  void (*put_piece)(uint32_t n, float share, float momentum,
                    const float* frame,      // (n)
                    const float* synthesis,  // (n)
                    float* before,           // (n), becomes the target; or null
                    float* piece,            // (n)
                    float* signal);          // (n)

  ByDtype<WidenFn> widen;
  ByDtype<StreamLimitFn> stream_limit;

  MatvecFn matvec_for(const Matrix& w) const { return matvec[w.layout][w.dtype]; }
  MatvecsFn matvecs_for(const Matrix& w) const { return matvecs[w.layout][w.dtype]; }

  // y[l] = W x[l] + bias for any number of vectors up to kTogether, by whichever of the two is faster (together.cpp).
  // x and y have room for kTogether pointers; `packed` is the scratch of a MatvecsFn.
  void multiply(const Matrix& w, uint32_t n, const float** x, const float* bias, float* packed, float** y) const;
};

// The index-th kernel set that this CPU can run, best first; null past the last.
const char* kernel_name(size_t index);

// Fill `out` with the named set (null: the best); what the set lacks, the next lower set serves.
// False where this CPU has no set of that name.
bool select_kernels(const char* name, Kernels* out);

}  // namespace linnet
