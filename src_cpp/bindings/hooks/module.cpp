// The Python extension linnet._hooks: what tests and benchmarks see of the library's inside.
#include "bindings/hooks/hooks.h"

PYBIND11_MODULE(_hooks, module) {
  module.doc() = "The inside of linnet's C++ core, for tests and benchmarks.";
  linnet::python::bind_kernels(module);
  linnet::python::bind_profile(module);
  linnet::python::bind_table(module);
}
