// The parts of the extension linnet._hooks.
#pragma once

#include "bindings/python/bindings.h"

namespace linnet::python {

void bind_kernels(py::module_& module);
void bind_profile(py::module_& module);
void bind_table(py::module_& module);

}  // namespace linnet::python
