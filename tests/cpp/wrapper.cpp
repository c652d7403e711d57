// linnet.hpp as its users meet it. Usage: wrapper VOICE.linnet FEATURES.f32 SEED OUT.s16, or
// wrapper WEIGHTS.f32 ROWS COLS BLOCK DTYPE THREADS X.f32 Y.f32
#include "linnet.hpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

namespace {

std::vector<float> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* first = reinterpret_cast<const float*>(bytes.data());
  return {first, first + bytes.size() / sizeof(float)};
}

template <class T>
void write(const char* path, const std::vector<T>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
}

void vocode(char** argv) {
  linnet::Model opened(argv[1]);
  const linnet::Model model = std::move(opened);
  const std::vector<float> frames = read(argv[2]);
  linnet::StreamOptions options;
  options.seed = std::stoull(argv[3]);
  linnet::Stream stream(model, options);
  const size_t n_features = model.info().n_features;
  const std::vector<int16_t> once = stream.synthesize(frames.data(), frames.size() / n_features, n_features);
  stream.reset(options.seed);
  write(argv[4], stream.synthesize(frames.data(), frames.size() / n_features, n_features));
  std::cout << (model.metadata().front() == '{') << (linnet::kernels().front() == stream.kernels()) << once.size();
}

void multiply(char** argv) {
  const auto rows = static_cast<uint32_t>(std::stoul(argv[2])), cols = static_cast<uint32_t>(std::stoul(argv[3]));
  const linnet::Matrix matrix(read(argv[1]).data(), rows, cols, argv[4], argv[5]);
  linnet::Product product(matrix, static_cast<uint32_t>(std::stoul(argv[6])), "portable");
  const std::vector<float> x = read(argv[7]);
  std::vector<float> y(x.size() / cols * rows);
  product.run(x.size() / cols, x.data(), y.data());
  write(argv[8], y);
  std::cout << product.kernels() << " " << matrix.storage().bytes;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 5) vocode(argv);
  if (argc == 9) multiply(argv);
  return 0;
} catch (const linnet::Error& error) {
  std::cerr << error.status() << " " << error.what();
  return 1;
}
