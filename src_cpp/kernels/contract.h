// The contract between the engine and the kernels. One table per kernel set; every set gives the same bits.
// The orders of sums and the functions are those of export/FORMAT.md, "Arithmetic"; portable.cpp spells them out.
//
// Kernels check nothing: model.cpp has proved every index and size. They read exactly the stored weights and indices;
// of x the floats up to the next multiple of the block's columns; they write exactly `rows` floats of y.
// x and y need no alignment; values start at multiples of 32 bytes, columns and quads of 4: a matrix may be some of the
// panels or quads of another, one thread's share. y overlaps nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace linnet {

// The numbers are those of the file.
enum class Layout : uint32_t { vector, table, dense, block_4x4, block_16x1, block_1x16, block_1x4 };
enum class Dtype : uint32_t { fp16 = 1, bf16 = 2, fp32 = 3 };
enum class Activation : uint32_t { none, relu, tanh, sigmoid, exp };

constexpr size_t kMatrixLayouts = 5;  // dense .. block_1x4
constexpr size_t kDtypes = 3;
constexpr uint32_t kTogether = 8;  // vectors at most that one product takes together
constexpr uint32_t kFewest = 4;    // vectors at least: with fewer, nothing is gained (0.9 to 1.0 times as fast, AVX2)
constexpr uint32_t kGroup = 16;    // classes of a draw that are summed together; also the padding of vectors, in floats

// Four block rows whose blocks are stored in turn.
struct Quad {
  uint16_t block_rows[4];  // kNoBlockRow where there is none
  uint32_t steps;          // blocks of each block row
};

// Times any block's rows it lies beyond every matrix, so that `row < rows` tells.
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
  const void* columns;  // (n_blocks) uint8_t or uint16_t; null where dense
  const Quad* quads;    // (n_quads); null where dense
};

// y = W x + bias.
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

struct Kernels {
  const char* name;

  MatvecFn matvec[kMatrixLayouts][kDtypes];    // [layout - dense][dtype - fp16]
  MatvecsFn matvecs[kMatrixLayouts][kDtypes];  // null: matvec, one by one

  // y = activation(y + add).
  void (*finish)(uint32_t n, Activation activation,
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

  // out = the n weights at `values`, widened.
  void (*widen)(uint32_t n, Dtype dtype, const void* values, float* out);

  // The stream limit, for benchmarks: loads n weights (a multiple of 64) in order, widens them, multiply-adds them into
  // registers with a constant, and nothing else. No product takes less time; the sum has no meaning.
  float (*stream)(size_t n, Dtype dtype, const void* values);

  MatvecFn matvec_for(const Matrix& w) const { return matvec[layout_of(w)][dtype_of(w)]; }
  MatvecsFn matvecs_for(const Matrix& w) const { return matvecs[layout_of(w)][dtype_of(w)]; }

  static uint32_t layout_of(const Matrix& w) {
    return static_cast<uint32_t>(w.layout) - static_cast<uint32_t>(Layout::dense);
  }
  static uint32_t dtype_of(const Matrix& w) {
    return static_cast<uint32_t>(w.dtype) - static_cast<uint32_t>(Dtype::fp16);
  }
};

// The index-th kernel set that this CPU can run, best first; null past the last.
const char* kernel_name(size_t index);

// Fill `out` with the named set (null: the best); its empty entries are served by the next lower set.
// False where this CPU has no set of that name.
bool select_kernels(const char* name, Kernels* out);

}  // namespace linnet
