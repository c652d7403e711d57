// A model for Python, and what its streams share: errors, and room for Python within long loops.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "linnet.h"
#include "bindings/python/bindings.h"

namespace linnet::python {

// How long Python's signals and progress reports may wait.
constexpr auto kSlice = std::chrono::milliseconds(20);

[[noreturn]] inline void raise_status(linnet_status status) {
  const std::string text = linnet_status_text(status);
  if (status == LINNET_ERROR_MEMORY) throw std::bad_alloc();
  if (status == LINNET_ERROR_STATE) throw std::runtime_error(text);
  if (status == LINNET_ERROR_SYSTEM) {
    PyErr_SetFromErrno(PyExc_OSError);
    throw py::error_already_set();
  }
  throw py::value_error(text);
}

inline void check(linnet_status status) {
  if (status != LINNET_OK) raise_status(status);
}

class Model {
 public:
  explicit Model(const std::string& path) {
    if (path.find('\0') != std::string::npos) throw py::value_error("embedded null byte in the path");
    linnet_error error{};
    linnet_status status;
    int system_error;
    {
      py::gil_scoped_release release;
      errno = 0;
      status = linnet_model_open(path.c_str(), &model_, &error);
      system_error = errno;
    }
    if (status == LINNET_ERROR_SYSTEM) {
      errno = system_error;
      PyErr_SetFromErrnoWithFilenameObject(
          PyExc_OSError, py::reinterpret_steal<py::object>(
                             PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())))
                             .ptr());
      throw py::error_already_set();
    }
    check_opened(status, error);
  }

  // Copies: Python's bytes are not aligned to 64, and other buffers may change under the validated model.
  explicit Model(const py::buffer& buffer) {
    const py::buffer_info bytes = buffer.request();
    if (PyBuffer_IsContiguous(bytes.view(), 'C') == 0) throw py::value_error("the buffer is not contiguous");
    const auto size = static_cast<size_t>(bytes.size * bytes.itemsize);
    memory_.reset(static_cast<unsigned char*>(::operator new(size, std::align_val_t(kAlignment))));
    std::memcpy(memory_.get(), bytes.ptr, size);
    linnet_error error{};
    linnet_status status;
    {
      py::gil_scoped_release release;
      status = linnet_model_open_memory(memory_.get(), size, &model_, &error);
    }
    check_opened(status, error);
  }

  ~Model() { linnet_model_close(model_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const linnet_model* get() const { return model_; }

  linnet_info info() const {
    linnet_info info{};
    check(linnet_model_info(model_, &info));
    return info;
  }

 private:
  struct Free {
    void operator()(unsigned char* memory) const { ::operator delete(memory, std::align_val_t(kAlignment)); }
  };

  static void check_opened(linnet_status status, const linnet_error& error) {
    if (status == LINNET_ERROR_FORMAT) {
      // The message may quote a damaged tensor name, which need not be UTF-8.
      const auto message = py::reinterpret_steal<py::str>(
          PyUnicode_DecodeUTF8(error.message, static_cast<py::ssize_t>(std::strlen(error.message)), "replace"));
      const py::object exception = py::module_::import("linnet.errors").attr("FormatError")(message, error.offset);
      PyErr_SetObject(py::type::handle_of(exception).ptr(), exception.ptr());
      throw py::error_already_set();
    }
    check(status);
  }

  std::unique_ptr<unsigned char, Free> memory_;
  linnet_model* model_ = nullptr;
};

struct CloseStream {
  void operator()(linnet_stream* stream) const { linnet_stream_close(stream); }
};
using StreamPointer = std::unique_ptr<linnet_stream, CloseStream>;

// The frames of an array of shape (n_frames, n_features); ValueError otherwise.
inline const float* frame_data(const py::array& frames, uint32_t n_features) {
  require_array<float>(frames, "frames", "float32");
  if (frames.ndim() != 2 || frames.shape(1) != static_cast<py::ssize_t>(n_features)) {
    throw py::value_error("frames must have shape (n_frames, " + std::to_string(n_features) + "), not " +
                          std::string(py::str(frames.attr("shape"))));
  }
  return static_cast<const float*>(frames.data());
}

// Lets signal handlers run: Ctrl-C throws here.
inline void heed_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Used without the GIL between small steps of work: every kSlice it takes the GIL, lets signal handlers run and reports
// progress.
class SignalCheck {
 public:
  explicit SignalCheck(py::object progress) : progress_(std::move(progress)) {}

  void operator()(size_t done) {
    if (std::chrono::steady_clock::now() - last_ < kSlice) return;
    py::gil_scoped_acquire gil;
    heed_signals();
    if (!progress_.is_none()) progress_(done);
    last_ = std::chrono::steady_clock::now();
  }

 private:
  py::object progress_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace linnet::python
