// Matrix: one packed matrix outside a model, and the kernel that multiplies with it.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "bindings.h"
#include "kernels/float_mode.h"

namespace linnet::python {
namespace {

// Stored bytes from which a product (10 us and more) outweighs giving the GIL away and taking it back (0.2 us).
constexpr size_t kReleaseGil = size_t{1} << 20;

struct BlockShape {
  size_t rows, cols;
};

BlockShape block_shape(Layout layout) {
  switch (layout) {
    case Layout::dense:
      return {16, 1};
    case Layout::block_4x4:
      return {4, 4};
    case Layout::block_16x1:
      return {16, 1};
    case Layout::block_1x16:
      return {1, 16};
    case Layout::block_1x4:
      return {1, 4};
    default:
      throw py::value_error("layout " + std::to_string(static_cast<uint32_t>(layout)) + " is not a matrix");
  }
}

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

class PackedMatrix {
 public:
  PackedMatrix(uint32_t layout, uint32_t dtype, uint32_t rows, uint32_t cols, const py::bytes& values,
               const py::bytes& columns, const py::bytes& row_list, const KernelName& kernels)
      : block_(block_shape(static_cast<Layout>(layout))), kernels_(named_kernels(kernels)) {
    if (dtype < 1 || dtype > kDtypes) throw py::value_error("unknown dtype " + std::to_string(dtype));
    if (rows == 0 || cols == 0) throw py::value_error("a matrix has at least one row and one column");
    const std::string_view parts[] = {values, columns, row_list};
    check_sections(rows, cols, static_cast<Layout>(layout), dtype == 3 ? 4 : 2, parts[0], parts[1], parts[2]);

    size_t at[3];
    for (size_t i = 0; i < 3; ++i) {
      at[i] = n_bytes_;
      n_bytes_ = round_up(n_bytes_ + parts[i].size(), kAlignment);
    }
    memory_.reset(static_cast<unsigned char*>(::operator new(n_bytes_, std::align_val_t(kAlignment))));
    for (size_t i = 0; i < 3; ++i) std::memcpy(memory_.get() + at[i], parts[i].data(), parts[i].size());
    const bool dense = static_cast<Layout>(layout) == Layout::dense;
    matrix_ = {static_cast<Layout>(layout),
               static_cast<Dtype>(dtype),
               rows,
               cols,
               static_cast<uint32_t>(n_block_rows(rows)),
               dense ? 0 : index_width(cols),
               memory_.get() + at[0],
               dense ? nullptr : memory_.get() + at[1],
               dense ? nullptr : reinterpret_cast<const RowEntry*>(memory_.get() + at[2])};
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
  uint32_t index_width(size_t cols) const { return n_block_cols(cols) <= 256 ? 1 : 2; }

  // Everything that a kernel relies on: a wrong index must not become a wild read.
  void check_sections(size_t rows, size_t cols, Layout layout, size_t weight_size, std::string_view values,
                      std::string_view columns, std::string_view row_list) const {
    const auto require = [](bool holds, const char* what) {
      if (!holds) throw py::value_error(std::string("packed matrix: ") + what);
    };
    if (layout == Layout::dense) {
      require(values.size() == n_block_rows(rows) * 16 * cols * weight_size, "values have the wrong size");
      return;
    }
    require(n_block_rows(rows) <= 65536 && n_block_cols(cols) <= 65536, "too many block rows or columns");
    require(row_list.size() == n_block_rows(rows) * sizeof(RowEntry), "the row list has the wrong size");
    const size_t width = index_width(cols);
    const size_t n_blocks = columns.size() / width;
    require(columns.size() % width == 0, "columns have the wrong size");
    require(values.size() == n_blocks * block_.rows * block_.cols * weight_size, "values have the wrong size");
    size_t listed = 0;
    std::vector<bool> seen(n_block_rows(rows));
    for (size_t i = 0; i < seen.size(); ++i) {
      RowEntry entry;
      std::memcpy(&entry, row_list.data() + i * sizeof entry, sizeof entry);
      require(entry.block_row < seen.size() && !seen[entry.block_row], "the row list names a row twice or not at all");
      seen[entry.block_row] = true;
      listed += entry.count;
    }
    require(listed == n_blocks, "the row list does not add up to the columns");
    for (size_t i = 0; i < n_blocks; ++i) {
      uint16_t column = 0;
      std::memcpy(&column, columns.data() + i * width, width);  // little-endian, as the file is
      require(column < n_block_cols(cols), "a column index is out of range");
    }
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
                    const KernelName&>(),
           arg("layout"), arg("dtype"), arg("rows"), arg("cols"), arg("values"), arg("columns") = py::bytes(),
           arg("row_list") = py::bytes(), arg("kernels") = py::none())
      .def("matvec", &PackedMatrix::matvec, arg("x"), arg("out"), arg("bias") = py::none())
      .def("time", &PackedMatrix::time, arg("x"), arg("repeats"))
      .def_property_readonly("kernels", &PackedMatrix::kernels);
}

}  // namespace linnet::python
