// Prints hashes of what this machine computes, to be compared with another's: hashes NAMES FILE...
//
// NAMES are kernel sets, separated by commas, of which a stream may be refused. A FILE is a voice (NAME.linnet, its
// frames in NAME.linnet.f32) or a matrix with inputs (NAME.matrix; tests/cross/cases.py writes them). Lines:
//   set SET             a kernel set that this CPU can run, best first
//   refused SET         a stream cannot be made with it
//   hash SET CASE HASH  64 bits of FNV-1a over every result of the case
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <new>
#include <string>
#include <vector>

#include <linnet.h>
#include "cpu/float_mode.h"
#include "kernels/contract.h"

namespace {

using namespace linnet;

[[noreturn]] void fail(const std::string& what) {
  fprintf(stderr, "hashes: %s\n", what.c_str());
  exit(1);
}

class Hash {
 public:
  void add(const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3u;
  }
  void print(const char* set, const std::string& name) const {
    printf("hash %s %s %016llx\n", set, name.c_str(), static_cast<unsigned long long>(value_));
  }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

class Bytes {  // aligned as the kernels want it
 public:
  explicit Bytes(size_t size) : data_(::operator new(size, kAlignment)), size_(size) {}
  ~Bytes() { ::operator delete(data_, kAlignment); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  void* data() const { return data_; }
  const float* floats() const { return static_cast<const float*>(data_); }
  size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  void* data_;
  size_t size_;
};

class File {
 public:
  explicit File(const std::string& path) : path_(path), file_(fopen(path.c_str(), "rb")) {
    if (file_ == nullptr) fail(path + ": cannot open");
  }
  ~File() { fclose(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void read(void* data, size_t size) {
    if (fread(data, 1, size, file_) != size) fail(path_ + ": too short");
  }
  size_t size() {
    fseek(file_, 0, SEEK_END);
    const long end = ftell(file_);
    rewind(file_);
    return static_cast<size_t>(end);
  }

 private:
  std::string path_;
  FILE* file_;
};

bool ends_with(const std::string& s, const char* end) {
  return s.size() >= strlen(end) && s.compare(s.size() - strlen(end), std::string::npos, end) == 0;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The scales of a tensor of int8: the last floats of its section, as many as its rows, up to a multiple of sixteen.
const float* scales_in(const Bytes& values, uint32_t rows) {
  return values.floats() + values.size() / sizeof(float) - round_up(rows, kGroup);
}

void hash_matrix(const char* set, const Kernels& kernels, const std::string& path) {
  struct {
    uint32_t layout, dtype, rows, cols, n_quads, index_width, values, columns, quads, n_inputs;
  } head;
  File file(path);
  file.read(&head, sizeof head);
  const Bytes values(head.values), columns(head.columns), quads(head.quads);
  for (const Bytes* section : {&values, &columns, &quads}) file.read(section->data(), section->size());
  Matrix w = {static_cast<Layout>(head.layout),
              static_cast<Dtype>(head.dtype),
              head.rows,
              head.cols,
              head.n_quads,
              head.index_width,
              values.data(),
              head.columns ? columns.data() : nullptr,
              head.quads ? static_cast<const Quad*>(quads.data()) : nullptr};
  if (w.dtype == Dtype::int8) w.scales = scales_in(values, w.rows);
  const Bytes x((size_t{head.cols} + 15) / 16 * 64), bias(size_t{head.rows} * 4);
  std::vector<float> y(head.rows);
  for (uint32_t i = 0; i < head.n_inputs; ++i) {
    Hash hash;
    file.read(x.data(), x.size());
    file.read(bias.data(), bias.size());
    for (const float* b : {bias.floats(), static_cast<const float*>(nullptr)}) {
      kernels.matvec_for(w)(w, x.floats(), b, y.data());
      hash.add(y.data(), y.size() * sizeof y[0]);
    }
    hash.print(set, base_name(path) + "/" + std::to_string(i));
  }
}

// Numbers of many sizes, the same on every machine.
class Numbers {
 public:
  void fill(std::vector<float>* to, uint32_t widest) {  // 2^-widest < |x| < 2^4, and some zeros
    for (float& x : *to) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      const uint32_t bits = static_cast<uint32_t>(state_ >> 32);
      const uint32_t exponent = 130 - static_cast<uint32_t>(state_ >> 8) % widest;
      const uint32_t number = (bits & 0x807fffffu) | exponent << 23;
      memcpy(&x, &number, sizeof x);
      if (bits % 61 == 0) x = bits % 2 ? 0.0f : -0.0f;
    }
  }

 private:
  uint64_t state_ = 1;
};

// widest: 20 for ordinary numbers, 130 for some that lead to subnormals.
void hash_functions(const char* set, const Kernels& kernels, uint32_t widest) {
  Numbers numbers;
  Hash hash;
  for (uint32_t n : {1u, 3u, 4u, 16u, 37u, 64u, 100u, 256u}) {
    std::vector<float> add(n), y(n), recurrent(3 * n), input(3 * n), e((n + 15) / 16 * 16), groups((n + 15) / 16);
    for (int repeat = 0; repeat < 4; ++repeat) {
      for (auto* v : {&add, &recurrent, &input}) numbers.fill(v, widest);
      for (Activation activation : {Activation::none, Activation::relu, Activation::tanh, Activation::sigmoid}) {
        numbers.fill(&y, widest);
        kernels.activate(n, activation, repeat % 2 ? add.data() : nullptr, y.data());
        hash.add(y.data(), 4 * y.size());
      }
      numbers.fill(&y, widest);
      kernels.gates(n, n, recurrent.data(), input.data(), y.data());
      hash.add(y.data(), 4 * y.size());
      const float greatest = kernels.exponentials(n, 1.5f, add.data(), e.data(), groups.data()) + 0.0f;  // no -0
      hash.add(&greatest, 4);
      hash.add(e.data(), 4 * e.size());
      hash.add(groups.data(), 4 * groups.size());
      std::vector<float> out(3 * n);
      kernels.upsample(3, 1, n, recurrent.data(), input.data(), n, out.data());
      hash.add(out.data(), 4 * out.size());
    }
  }
  hash.print(set, "functions/" + std::to_string(widest));
}

#if defined(__x86_64__)
constexpr uint64_t kHostMode = 0x9fc0;  // MXCSR: FTZ and DAZ
uint64_t float_mode() { return _mm_getcsr(); }
void set_float_mode(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr uint64_t kHostMode = 1u << 24;  // FPCR.FZ
uint64_t float_mode() {
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#elif defined(__arm__)
constexpr uint64_t kHostMode = 1u << 24;  // FPSCR.FZ
uint64_t float_mode() {
  uint32_t mode;
  __asm__ volatile("vmrs %0, fpscr" : "=r"(mode));
  return mode & 0x07f70000u;  // without the flags
}
void set_float_mode(uint64_t mode) { __asm__ volatile("vmsr fpscr, %0" : : "r"(static_cast<uint32_t>(mode))); }
#elif defined(__riscv_flen)
constexpr uint64_t kHostMode = 1;  // frm: towards zero
uint64_t float_mode() {
  unsigned long mode;
  __asm__ volatile("frrm %0" : "=r"(mode));
  return mode;
}
void set_float_mode(uint64_t mode) { __asm__ volatile("fsrm %0" : : "r"(static_cast<unsigned long>(mode))); }
#else  // a machine that has no other mode here
constexpr uint64_t kHostMode = 0;
uint64_t float_mode() { return 0; }
void set_float_mode(uint64_t) {}
#endif

void hash_audio(const char* set, const std::string& path, bool other_mode) {
  linnet_model* model;
  linnet_error error;
  linnet_info info;
  if (linnet_model_open(path.c_str(), &model, &error) != LINNET_OK) fail(path + ": " + error.message);
  linnet_model_info(model, &info);
  File file(path + ".f32");
  std::vector<float> frames(file.size() / sizeof(float));
  file.read(frames.data(), frames.size() * sizeof(float));

  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.seed = 12345;
  options.kernels = set;
  linnet_stream* stream;
  if (linnet_stream_create(model, &options, nullptr, 0, &stream) != LINNET_OK) fail("no stream");
  if (strcmp(linnet_stream_kernels(stream), set) != 0) fail("another kernel set runs");
  const uint64_t mode = float_mode();
  if (other_mode) set_float_mode(kHostMode);
  const uint64_t host_mode = float_mode();
  Hash hash;
  size_t taken, made;
  int16_t samples[7];
  for (size_t t = 0; t <= frames.size() / info.n_features; ++t) {
    const bool last = t == frames.size() / info.n_features;
    if (last) {
      linnet_stream_finish(stream);
    } else if (linnet_stream_push(stream, &frames[t * info.n_features], 1, &taken) != LINNET_OK || taken != 1) {
      fail(path + ": a frame is refused");
    }
    do {
      if (linnet_stream_pull(stream, samples, 7, &made) != LINNET_OK) fail(path + ": pull");
      hash.add(samples, made * sizeof *samples);
    } while (made > 0);
  }
  if (float_mode() != host_mode) fail("the caller's floating-point mode is lost");
  set_float_mode(mode);
  hash.print(set, base_name(path) + (other_mode ? "/host-flushes" : ""));
  linnet_stream_close(stream);
  linnet_model_close(model);
}

void print_refusals(const std::string& names, const std::string& voice) {
  linnet_model* model;
  if (linnet_model_open(voice.c_str(), &model, nullptr) != LINNET_OK) fail(voice + ": cannot open");
  for (size_t start = 0; start < names.size();) {
    const size_t end = names.find(',', start) == std::string::npos ? names.size() : names.find(',', start);
    const std::string name = names.substr(start, end - start);
    linnet_stream_options options;
    linnet_stream_options_init(&options);
    options.kernels = name.c_str();
    linnet_stream* stream = nullptr;
    const linnet_status status = linnet_stream_create(model, &options, nullptr, 0, &stream);
    if (status == LINNET_ERROR_KERNELS) printf("refused %s\n", name.c_str());
    if (status == LINNET_OK) linnet_stream_close(stream);
    start = end + 1;
  }
  linnet_model_close(model);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> voices, matrices;
  for (int i = 2; i < argc; ++i) (ends_with(argv[i], ".matrix") ? matrices : voices).push_back(argv[i]);
  if (voices.empty()) fail("usage: hashes NAMES FILE...");
  for (size_t s = 0; kernel_name(s) != nullptr; ++s) printf("set %s\n", kernel_name(s));
  print_refusals(argv[1], voices[0]);
  for (size_t s = 0; kernel_name(s) != nullptr; ++s) {
    const char* set = kernel_name(s);
    Kernels kernels;
    select_kernels(set, &kernels);
    for (const std::string& path : matrices) hash_matrix(set, kernels, path);
    for (uint32_t widest : {20u, 130u}) hash_functions(set, kernels, widest);
    for (const std::string& path : voices) {
      hash_audio(set, path, false);
      hash_audio(set, path, true);
    }
  }
  return 0;
}
