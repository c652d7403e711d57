// What the files of the Python extension share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/contract.h"
#include "run/arena.h"

namespace linnet::python {

namespace py = pybind11;

using KernelName = std::optional<std::string>;

void bind_stream(py::module_& module);
void bind_batch(py::module_& module);
void bind_matrix(py::module_& module);

// Raises ValueError that names what was asked and lists the sets of this CPU.
[[noreturn]] inline void raise_no_such_kernels(const KernelName& asked) {
  std::string have;
  for (size_t i = 0; kernel_name(i) != nullptr; ++i) have += (i == 0 ? "" : ", ") + std::string(kernel_name(i));
  throw py::value_error("this CPU has no kernel set '" + asked.value_or("") + "'; it has: " + have);
}

inline Kernels named_kernels(const KernelName& name) {
  Kernels kernels;
  if (!select_kernels(name ? name->c_str() : nullptr, &kernels)) raise_no_such_kernels(name);
  return kernels;
}

// ValueError unless `array` is a C-contiguous and aligned array of T.
template <typename T>
void require_array(const py::array& array, const char* name, const char* type) {
  constexpr int kPlain = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  std::string came;
  if (!py::dtype::of<T>().equal(array.dtype())) {
    came = std::string(py::str(array.dtype()));
  } else if ((array.flags() & kPlain) != kPlain) {
    came = "a strided or unaligned view";
  } else {
    return;
  }
  throw py::value_error(std::string(name) + " must be a contiguous " + type + " array, not " + came);
}

// The floats of a contiguous float32 array of shape (n); ValueError otherwise.
inline const float* floats(const py::array& array, size_t n, const char* name) {
  require_array<float>(array, name, "float32");
  if (array.ndim() != 1 || static_cast<size_t>(array.size()) != n) {
    throw py::value_error(std::string(name) + " must have shape (" + std::to_string(n) + ",), not " +
                          std::string(py::str(array.attr("shape"))));
  }
  return static_cast<const float*>(array.data());
}

}  // namespace linnet::python
