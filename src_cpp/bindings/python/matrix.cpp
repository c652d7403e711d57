// Matrix: one packed matrix outside a model, and the kernel that multiplies with it.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "bindings/python/bindings.h"
#include "cpu/float_mode.h"
#include "file/tensors.h"

namespace linnet::python {
namespace {

// Stored bytes from which a product (10 us and more) outweighs giving the GIL away and taking it back (0.2 us).
constexpr size_t kReleaseGil = size_t{1} << 20;

class PackedMatrix {
 public:
  PackedMatrix(uint32_t layout, uint32_t dtype, uint32_t rows, uint32_t cols, const py::bytes& values,
               const py::bytes& columns, const py::bytes& quads, const KernelName& kernels, float input_range)
      : kernels_(named_kernels(kernels)) {
    if (!known_layout(layout) || !is_matrix(static_cast<Layout>(layout)))
      throw py::value_error("layout " + std::to_string(layout) + " is not a matrix");
    if (!known_dtype(dtype)) throw py::value_error("unknown dtype " + std::to_string(dtype));
    const Dtype type = static_cast<Dtype>(dtype);
    block_ = block_shape(static_cast<Layout>(layout), type);
    if (rows == 0 || cols == 0) throw py::value_error("a matrix has at least one row and one column");
    const std::string_view parts[] = {values, columns, quads};
    const bool dense = !is_sparse(static_cast<Layout>(layout));
    const uint32_t index_width = dense ? 0 : n_block_cols(cols) <= 256 ? 1 : 2;
    const size_t n_blocks = dense ? n_block_rows(rows) * n_block_cols(cols) : parts[1].size() / index_width;
    const size_t n_quads = dense ? 0 : (n_block_rows(rows) + 3) / 4;
    const size_t n_weights = n_blocks * block_.rows * block_.cols;
    require(n_block_rows(rows) <= kNoBlockRow && n_block_cols(cols) <= kNoBlockRow, "too many block rows or columns");
    require(type != Dtype::int8 || cols <= kMostInt8Columns, "too many columns");
    require(parts[0].size() == values_bytes(type, n_weights, rows), "values have the wrong size");
    require(parts[1].size() == (dense ? 0 : n_blocks * index_width), "columns have the wrong size");
    require(parts[2].size() == n_quads * sizeof(Quad), "quads have the wrong size");

    size_t at[3];
    for (size_t i = 0; i < 3; ++i) {
      at[i] = n_bytes_;
      n_bytes_ = round_up(n_bytes_ + parts[i].size(), kAlignment);
    }
    memory_.reset(static_cast<unsigned char*>(::operator new(n_bytes_, std::align_val_t(kAlignment))));
    for (size_t i = 0; i < 3; ++i) std::memcpy(memory_.get() + at[i], parts[i].data(), parts[i].size());
    matrix_ = {static_cast<Layout>(layout),
               type,
               rows,
               cols,
               static_cast<uint32_t>(n_quads),
               index_width,
               memory_.get() + at[0],
               dense ? nullptr : memory_.get() + at[1],
               dense ? nullptr : reinterpret_cast<const Quad*>(memory_.get() + at[2]),
               type == Dtype::int8 ? reinterpret_cast<const float*>(memory_.get() + scales_at(n_weights)) : nullptr,
               input_range};
    linnet_error error;
    Errors errors(&error);
    if (!dense && !check_blocks(errors, "packed", matrix_, static_cast<uint32_t>(n_blocks), 0, 0)) {
      throw py::value_error(error.message);
    }
  }

  void matvec(const py::array& x, py::array& out, const std::optional<py::array>& bias) const {
    const float* in = floats(x, matrix_.cols, "x");
    floats(out, matrix_.rows, "out");
    auto* y = static_cast<float*>(out.mutable_data());  // ValueError where read-only
    const float* b = bias ? floats(*bias, matrix_.rows, "bias") : nullptr;
    for (const float* input : {in, b}) {
      const size_t n = input == in ? matrix_.cols : matrix_.rows;
      if (input != nullptr && y < input + n && input < y + matrix_.rows) {
        throw py::value_error("out overlaps an input; a product is not made in place");
      }
    }
    // Kernels read whole blocks of x, those floats beyond the matrix meeting zero weights.
    std::vector<float> padded;
    if (matrix_.cols % block_.cols != 0) {
      padded.assign(round_up(matrix_.cols, block_.cols), 0.0f);
      std::copy_n(in, matrix_.cols, padded.data());
      in = padded.data();
    }
    if (n_bytes_ >= kReleaseGil) {
      py::gil_scoped_release release;
      multiply(in, b, y);
    } else {
      multiply(in, b, y);
    }
  }

  // Seconds per product, for benchmarks: a call from Python costs as much as a small product.
  double time(const py::array& x, uint32_t repeats) const {
    if (repeats == 0) throw py::value_error("repeats must be at least 1");
    const float* in = floats(x, matrix_.cols, "x");
    py::gil_scoped_release release;
    std::vector<float> padded(round_up(matrix_.cols, block_.cols));
    std::copy_n(in, matrix_.cols, padded.data());
    std::vector<float> y(matrix_.rows);
    const IeeeFloatMode mode;
    const MatvecFn product = kernels_.matvec_for(matrix_);
    product(matrix_, padded.data(), nullptr, y.data());
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < repeats; ++i) product(matrix_, padded.data(), nullptr, y.data());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  }

  const char* kernels() const { return kernels_.name; }

 private:
  struct Free {
    void operator()(unsigned char* memory) const { ::operator delete(memory, std::align_val_t(kAlignment)); }
  };

  void multiply(const float* x, const float* bias, float* y) const {
    const IeeeFloatMode mode;
    kernels_.matvec_for(matrix_)(matrix_, x, bias, y);
  }

  size_t n_block_rows(size_t rows) const { return (rows + block_.rows - 1) / block_.rows; }
  size_t n_block_cols(size_t cols) const { return (cols + block_.cols - 1) / block_.cols; }

  static void require(bool holds, const char* what) {
    if (!holds) throw py::value_error(std::string("packed matrix: ") + what);
  }

  BlockShape block_;
  Kernels kernels_;
  Matrix matrix_{};
  size_t n_bytes_ = 0;
  std::unique_ptr<unsigned char, Free> memory_;
};

}  // namespace

void bind_matrix(py::module_& module) {
  using py::arg;
  py::class_<PackedMatrix>(module, "Matrix")
      .def(py::init<uint32_t, uint32_t, uint32_t, uint32_t, const py::bytes&, const py::bytes&, const py::bytes&,
                    const KernelName&, float>(),
           arg("layout"), arg("dtype"), arg("rows"), arg("cols"), arg("values"), arg("columns") = py::bytes(),
           arg("quads") = py::bytes(), arg("kernels") = py::none(), arg("input_range") = 0.0f)
      .def("matvec", &PackedMatrix::matvec, arg("x"), arg("out"), arg("bias") = py::none())
      .def("time", &PackedMatrix::time, arg("x"), arg("repeats"))
      .def_property_readonly("kernels", &PackedMatrix::kernels);
}

}  // namespace linnet::python
