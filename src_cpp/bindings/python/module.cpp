// The Python extension linnet._core: the C API with numpy arrays for pointers and exceptions for status codes.
#include <memory>

#include "bindings/python/bindings.h"
#include "linnet.h"

PYBIND11_MODULE(_core, module) {
  namespace py = pybind11;
  module.doc() = "linnet's C++ core.";
  module.def("version", [] {
    const uint32_t v = linnet_version();
    return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
  });
  module.def("kernels", [] {
    std::vector<std::string> names;
    for (size_t i = 0; linnet_kernels(i) != nullptr; ++i) names.emplace_back(linnet_kernels(i));
    return names;
  });
  linnet::python::bind_stream(module);
  linnet::python::bind_batch(module);
  linnet::python::bind_matrix(module);
}
