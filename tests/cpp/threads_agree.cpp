// Any number of threads gives the samples and scores of one, in any pieces, with every kernel set, after a reset too,
// and with several streams at once; and nobody runs while nothing is asked for. Usage: threads_agree FILE...
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "run/engine.h"
#include "cpu/float_mode.h"
#include "run/team.h"

namespace {

using namespace linnet;

constexpr uint64_t kFrames = 2;
void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  exit(1);
}

struct Aligned {
  explicit Aligned(size_t size) { require(posix_memalign(&data, 64, size + 1) == 0, "there is memory"); }
  ~Aligned() { free(data); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  void* data = nullptr;
};

// A stream that shares every task that can be shared, however small.
class Shared {
 public:
  Shared(const Model& model, const Kernels& kernels, uint32_t n_threads, uint32_t barrier_cost)
      : memory_(stream_size(model, n_threads)) {
    const Threading threading = {n_threads, barrier_cost};
    stream_ = make_stream(model, kernels, Sampling{7, 0, 1.0f}, threading, memory_.data);
    require(stream_ != nullptr, "the system gives threads");
  }
  ~Shared() { end_threads(stream_); }

  // All samples of kFrames frames, then the nats of as many tokens, if the model draws them, asked for `piece` at a
  // time.
  void run(size_t piece, std::vector<int16_t>* samples, double* nats) {
    const Config& config = stream_->model->config;
    const size_t n = kFrames * config.hop_length;
    samples->assign(n, 0);
    const size_t per_step = config.samples_per_step;
    const std::vector<uint16_t> tokens((piece + per_step - 1) / per_step * per_step, 0);
    for (int scoring = 0; scoring < (config.high_classes == 0 ? 1 : 2); ++scoring) {
      reset_stream(stream_, 7, 0);
      std::vector<float> frame(config.n_features);
      size_t done = 0;
      for (uint64_t t = 0; t < kFrames; ++t) {
        for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<float>((i + t) % 17) / 8.0f - 1.0f;
        take_frame(stream_, frame.data());
        if (t + 1 == kFrames) stream_->finished = true;
        while (prepare_sample(stream_)) {
          done += scoring ? score_samples(stream_, tokens.size(), tokens.data(), nats)
                          : make_samples(stream_, std::min(piece, n - done), samples->data() + done);
        }
      }
      require(done == n, "every sample is made");
    }
  }

 private:
  Aligned memory_;
  Stream* stream_ = nullptr;
};

struct Result {
  std::vector<int16_t> samples;
  double nats = 0;

  bool operator==(const Result& other) const {
    return samples == other.samples && memcmp(&nats, &other.nats, sizeof nats) == 0;
  }
};

Result run(const Model& model, const char* name, uint32_t n_threads, uint32_t barrier_cost, size_t piece) {
  const IeeeFloatMode mode;
  Kernels kernels;
  require(select_kernels(name, &kernels), "the kernels exist");
  Shared stream(model, kernels, n_threads, barrier_cost);
  Result first, again;
  stream.run(piece, &first.samples, &first.nats);
  stream.run(piece + 1, &again.samples, &again.nats);
  require(first == again, "a reset stream begins again");
  return first;
}

void check(const Model& model) {
  const Result expected = run(model, kernel_name(0), 1, 0, 8);
  for (uint32_t n_threads : {2, 3, 5}) {
    require(run(model, nullptr, n_threads, 0, 7) == expected, "any number of threads gives the same bits");
  }
  for (size_t i = 1; kernel_name(i) != nullptr; ++i) {
    require(run(model, kernel_name(i), 3, 0, 7) == expected, "every kernel set does the shares of a whole");
  }
  require(run(model, nullptr, 3, 40, 1000) == expected, "so does a plan that shares some tasks only");
  std::vector<Result> results(3);
  std::vector<std::thread> callers;
  for (Result& result : results) callers.emplace_back([&] { result = run(model, nullptr, 2, 0, 5); });
  for (std::thread& caller : callers) caller.join();
  for (const Result& result : results) require(result == expected, "streams do not disturb each other");
}

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Workers may spin for some tens of microseconds after the last sample. One that went on would take whole seconds.
void check_sleep(const Model& model) {
  Kernels kernels;
  select_kernels(nullptr, &kernels);
  Shared stream(model, kernels, 3, 0);
  std::vector<int16_t> samples;
  double nats = 0;
  stream.run(8, &samples, &nats);
  const double before = cpu_seconds();
  usleep(500000);
  require(cpu_seconds() - before < 0.1, "threads sleep while nothing is asked of them");
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    FILE* file = fopen(argv[i], "rb");
    require(file != nullptr && fseek(file, 0, SEEK_END) == 0, "the file opens");
    const size_t size = static_cast<size_t>(ftell(file));
    const Aligned data(size);
    rewind(file);
    require(fread(data.data, 1, size, file) == size, "the file can be read");
    fclose(file);
    Model model;
    linnet_error error;
    require(read_model(static_cast<const uint8_t*>(data.data), size, &model, &error) == LINNET_OK, "the file is right");
    check(model);
    if (i == 1) check_sleep(model);
    free_model(&model);
  }
  printf("%d files\n", argc - 1);
  return 0;
}
