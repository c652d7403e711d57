// Matrix: one packed matrix outside a model, and products with it.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "bindings/python/bindings.h"
#include "file/tensors.h"
#include "linnet.h"
#include "products/packing.h"
#include "run/team.h"

namespace linnet::python {
namespace {

// Stored bytes read from which a product (10 us and more) outweighs giving the GIL away and taking it back (0.2 us).
constexpr size_t kReleaseGil = size_t{1} << 20;

struct Close {
  void operator()(linnet_product* product) const { linnet_product_close(product); }
};
using Product = std::unique_ptr<linnet_product, Close>;

// Products of a matrix that nobody uses at the moment: each serves one thread of Python's at a time.
class Products {
 public:
  Products(const linnet_matrix* matrix, const KernelName& kernels, uint32_t threads)
      : matrix_(matrix), kernels_(kernels), threads_(threads) {
    idle_.push_back(create());
  }
  ~Products() { forget_if_forked(); }

  Product borrow() {
    const std::lock_guard<std::mutex> lock(mutex_);
    forget_if_forked();
    if (idle_.empty()) return create();
    Product product = std::move(idle_.back());
    idle_.pop_back();
    return product;
  }

  void give_back(Product product) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(product));
  }

  const char* kernels() const { return kernels_ ? kernels_->c_str() : linnet_kernels(0); }

 private:
  Product create() const {
    linnet_product* product;
    switch (linnet_product_create(matrix_, threads_, kernels_ ? kernels_->c_str() : nullptr, nullptr, 0, &product)) {
      case LINNET_OK:
        return Product(product);
      case LINNET_ERROR_KERNELS:
        raise_no_such_kernels(kernels_);
      case LINNET_ERROR_ARGUMENT:
        throw py::value_error("threads must be 1 .. " + std::to_string(kMaxThreads) + ", not " +
                              std::to_string(threads_));
      case LINNET_ERROR_SYSTEM:
        PyErr_SetFromErrno(PyExc_OSError);
        throw py::error_already_set();
      default:
        throw std::bad_alloc();
    }
  }

  // The threads of a product stay behind in the process that forked this one.
  void forget_if_forked() {
#if !defined(_WIN32)
    if (threads_ == 1 || process_ == getpid()) return;
    process_ = getpid();
    for (Product& product : idle_) product.release();
    idle_.clear();
#endif
  }

  const linnet_matrix* matrix_;
  KernelName kernels_;
  uint32_t threads_;
  std::mutex mutex_;
  std::vector<Product> idle_;
#if !defined(_WIN32)
  pid_t process_ = getpid();
#endif
};

// A product for as long as it lives.
class Borrowed {
 public:
  explicit Borrowed(Products* from) : from_(from), product_(from->borrow()) {}
  ~Borrowed() { from_->give_back(std::move(product_)); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  void run(size_t n, const float* x, const float* bias, float* y) const {
    linnet_product_run(product_.get(), n, x, bias, y);
  }

 private:
  Products* from_;
  Product product_;
};

// A matrix whose sections Python has laid out, checked and copied.
class PackedMatrix {
 public:
  PackedMatrix(uint32_t layout, uint32_t dtype, uint32_t rows, uint32_t cols, const py::bytes& values,
               const py::bytes& columns, const py::bytes& quads, const KernelName& kernels, uint32_t threads,
               float input_range) {
    if (!known_layout(layout) || !is_matrix(static_cast<Layout>(layout)))
      throw py::value_error("layout " + std::to_string(layout) + " is not a matrix");
    if (!known_dtype(dtype)) throw py::value_error("unknown dtype " + std::to_string(dtype));
    if (rows == 0 || cols == 0) throw py::value_error("a matrix has at least one row and one column");
    require(rows <= kMaxSide && cols <= kMaxSide, "more than 2^20 rows or columns");
    const Matrix shape = empty_matrix(static_cast<Layout>(layout), static_cast<Dtype>(dtype), rows, cols);
    const std::string_view parts[] = {values, columns, quads};
    const bool sparse = is_sparse(shape.layout);
    require(!sparse || (shape.block_rows() <= kMaxBlocksAside && shape.block_cols() <= kMaxBlocksAside),
            "too many block rows or columns");
    require(shape.dtype != Dtype::int8 || cols <= kMostInt8Columns, "too many columns");
    const auto n_blocks = static_cast<uint32_t>(sparse ? parts[1].size() / shape.index_width : 0);
    const SectionSizes sizes = section_sizes(shape, n_blocks);
    require(parts[0].size() == sizes.values, "values have the wrong size");
    require(parts[1].size() == sizes.columns, "columns have the wrong size");
    require(parts[2].size() == sizes.quads, "quads have the wrong size");

    memory_.reset(
        static_cast<unsigned char*>(::operator new(matrix_size(shape, n_blocks), std::align_val_t(kAlignment))));
    matrix_ = place_matrix(shape, n_blocks, memory_.get());
    matrix_->view.input_range = input_range;
    const Matrix& view = matrix_->view;
    const void* sections[] = {view.values, view.columns, view.quads};
    for (size_t i = 0; i < 3; ++i) {
      if (!parts[i].empty()) std::memcpy(const_cast<void*>(sections[i]), parts[i].data(), parts[i].size());
    }
    linnet_error error;
    Errors errors(&error);
    if (sparse && !check_blocks(errors, "packed", view, n_blocks, 0, 0)) throw py::value_error(error.message);
    products_ = std::make_unique<Products>(matrix_, kernels, threads);
  }

  void matvec(const py::array& x, py::array& out, const std::optional<py::array>& bias) const {
    const float* in = floats(x, cols(), "x");
    floats(out, rows(), "out");
    const float* b = bias ? floats(*bias, rows(), "bias") : nullptr;
    multiply(1, in, b, static_cast<float*>(out.mutable_data()));  // ValueError where read-only
  }

  void matmul(const py::array& x, py::array& out) const {
    require_array<float>(x, "x", "float32");
    require_array<float>(out, "out", "float32");
    if (x.ndim() != 2 || out.ndim() != 2 || x.shape(0) != out.shape(0) || static_cast<uint32_t>(x.shape(1)) != cols() ||
        static_cast<uint32_t>(out.shape(1)) != rows()) {
      throw py::value_error("x must have shape (n, cols) and out (n, rows)");
    }
    multiply(static_cast<size_t>(x.shape(0)), static_cast<const float*>(x.data()), nullptr,
             static_cast<float*>(out.mutable_data()));
  }

  // Seconds per product, for benchmarks: a call from Python costs as much as a small product.
  double time(const py::array& x, uint32_t repeats) const {
    if (repeats == 0) throw py::value_error("repeats must be at least 1");
    const float* in = floats(x, cols(), "x");
    std::vector<float> y(rows());
    const Borrowed product(products_.get());
    py::gil_scoped_release release;
    product.run(1, in, nullptr, y.data());
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t i = 0; i < repeats; ++i) product.run(1, in, nullptr, y.data());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  }

  const char* kernels() const { return products_->kernels(); }

 private:
  struct Free {
    void operator()(unsigned char* memory) const { ::operator delete(memory, std::align_val_t(kAlignment)); }
  };

  uint32_t rows() const { return matrix_->view.rows; }
  uint32_t cols() const { return matrix_->view.cols; }

  void multiply(size_t n, const float* x, const float* bias, float* y) const {
    require_apart(y, n * rows(), x, n * cols());
    if (bias != nullptr) require_apart(y, n * rows(), bias, rows());
    const Borrowed product(products_.get());
    if (n * matrix_->stored_bytes() >= kReleaseGil) {
      py::gil_scoped_release release;
      product.run(n, x, bias, y);
    } else {
      product.run(n, x, bias, y);
    }
  }

  static void require_apart(const float* y, size_t n_y, const float* x, size_t n_x) {
    if (y < x + n_x && x < y + n_y) throw py::value_error("out overlaps an input; a product is not made in place");
  }

  static void require(bool holds, const char* what) {
    if (!holds) throw py::value_error(std::string("packed matrix: ") + what);
  }

  std::unique_ptr<unsigned char, Free> memory_;
  linnet_matrix* matrix_ = nullptr;
  std::unique_ptr<Products> products_;  // after the memory, which they use
};

}  // namespace

void bind_matrix(py::module_& module) {
  using py::arg;
  py::class_<PackedMatrix>(module, "Matrix")
      .def(py::init<uint32_t, uint32_t, uint32_t, uint32_t, const py::bytes&, const py::bytes&, const py::bytes&,
                    const KernelName&, uint32_t, float>(),
           arg("layout"), arg("dtype"), arg("rows"), arg("cols"), arg("values"), arg("columns") = py::bytes(),
           arg("quads") = py::bytes(), arg("kernels") = py::none(), arg("threads") = 1, arg("input_range") = 0.0f)
      .def("matvec", &PackedMatrix::matvec, arg("x"), arg("out"), arg("bias") = py::none())
      .def("matmul", &PackedMatrix::matmul, arg("x"), arg("out"))
      .def("time", &PackedMatrix::time, arg("x"), arg("repeats"))
      .def_property_readonly("kernels", &PackedMatrix::kernels);
}

}  // namespace linnet::python
