// linnet.h for C++17: objects that close themselves, and exceptions. Header-only; link with the C library.
//
// Whatever an object is made from (a stream's model, a product's matrix) must outlive it.
#ifndef LINNET_HPP
#define LINNET_HPP

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "linnet.h"

namespace linnet {

class Error : public std::runtime_error {
 public:
  Error(linnet_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  linnet_status status() const { return status_; }

  static void check(linnet_status status) {
    if (status != LINNET_OK) throw Error(status, linnet_status_text(status));
  }

 private:
  linnet_status status_;
};

// The kernel sets that this CPU can run, best first.
inline std::vector<std::string> kernels() {
  std::vector<std::string> names;
  while (const char* name = linnet_kernels(names.size())) names.emplace_back(name);
  return names;
}

class Model {
 public:
  explicit Model(const std::string& path) {
    linnet_model* model;
    linnet_error error{};
    const linnet_status status = linnet_model_open(path.c_str(), &model, &error);
    if (status != LINNET_OK) throw Error(status, path + ": " + error.message);
    model_.reset(model);
  }

  // A file in memory that starts at a multiple of 64 bytes and outlives the model.
  Model(const void* data, size_t size) {
    linnet_model* model;
    linnet_error error{};
    const linnet_status status = linnet_model_open_memory(data, size, &model, &error);
    if (status != LINNET_OK) throw Error(status, error.message);
    model_.reset(model);
  }

  linnet_info info() const {
    linnet_info info;
    Error::check(linnet_model_info(get(), &info));
    return info;
  }

  // JSON.
  std::string_view metadata() const {
    const linnet_info about = info();
    return {about.metadata, about.metadata_size};
  }

  const linnet_model* get() const { return model_.get(); }

 private:
  struct Close {
    void operator()(linnet_model* model) const { linnet_model_close(model); }
  };
  std::unique_ptr<linnet_model, Close> model_;
};

// linnet_stream_options with its defaults.
struct StreamOptions : linnet_stream_options {
  StreamOptions() { linnet_stream_options_init(this); }
};

class Stream {
 public:
  explicit Stream(const Model& model, const StreamOptions& options = {}) {
    linnet_stream* stream;
    Error::check(linnet_stream_create(model.get(), &options, nullptr, 0, &stream));
    stream_.reset(stream);
  }

  // frames: (n_frames, n_features). Returns how many were taken: none while samples wait to be pulled.
  size_t push(const float* frames, size_t n_frames) {
    size_t taken;
    Error::check(linnet_stream_push(get(), frames, n_frames, &taken));
    return taken;
  }

  void finish() { Error::check(linnet_stream_finish(get())); }
  size_t available() const { return linnet_stream_available(get()); }

  // Returns how many samples were made.
  size_t pull(int16_t* samples, size_t capacity) {
    size_t made;
    Error::check(linnet_stream_pull(get(), samples, capacity, &made));
    return made;
  }

  // The samples of an utterance of (n_frames, n_features) frames, whole; the stream is at its start, and ends.
  std::vector<int16_t> synthesize(const float* frames, size_t n_frames, size_t n_features) {
    std::vector<int16_t> samples;
    size_t taken = 0;
    for (bool finished = false;;) {
      if (taken < n_frames) taken += push(frames + taken * n_features, n_frames - taken);
      if (taken == n_frames && !finished) {
        finish();
        finished = true;
      }
      const size_t before = samples.size();
      samples.resize(before + available());
      samples.resize(before + pull(samples.data() + before, samples.size() - before));
      if (finished && samples.size() == before) return samples;
    }
  }

  void reset(uint64_t seed, uint32_t stream_number = 0) {
    Error::check(linnet_stream_reset(get(), seed, stream_number));
  }
  const char* kernels() const { return linnet_stream_kernels(get()); }
  linnet_stream* get() const { return stream_.get(); }

 private:
  struct Close {
    void operator()(linnet_stream* stream) const { linnet_stream_close(stream); }
  };
  std::unique_ptr<linnet_stream, Close> stream_;
};

class Matrix {
 public:
  // weights: (rows, cols), which are copied; block and dtype as linnet_blocks and linnet_dtypes name them.
  Matrix(const float* weights, uint32_t rows, uint32_t cols, const char* block = "4x4", const char* dtype = "float16") {
    linnet_matrix* matrix;
    Error::check(linnet_matrix_pack(weights, rows, cols, block, dtype, nullptr, 0, &matrix));
    matrix_.reset(matrix);
  }

  linnet_storage storage() const {
    linnet_storage storage;
    Error::check(linnet_matrix_storage(get(), &storage));
    return storage;
  }

  const linnet_matrix* get() const { return matrix_.get(); }

 private:
  struct Close {
    void operator()(linnet_matrix* matrix) const { linnet_matrix_close(matrix); }
  };
  std::unique_ptr<linnet_matrix, Close> matrix_;
};

class Product {
 public:
  explicit Product(const Matrix& matrix, uint32_t threads = 1, const char* kernels = nullptr) {
    linnet_product* product;
    Error::check(linnet_product_create(matrix.get(), threads, kernels, nullptr, 0, &product));
    product_.reset(product);
  }

  // y (n, rows) = W x + bias for the vectors x (n, cols); bias (rows) or null.
  void run(size_t n, const float* x, float* y, const float* bias = nullptr) {
    Error::check(linnet_product_run(product_.get(), n, x, bias, y));
  }

  const char* kernels() const { return linnet_product_kernels(product_.get()); }

 private:
  struct Close {
    void operator()(linnet_product* product) const { linnet_product_close(product); }
  };
  std::unique_ptr<linnet_product, Close> product_;
};

}  // namespace linnet

#endif
