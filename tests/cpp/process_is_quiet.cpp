// Push, pull, pull together, score, finish, reset and products neither allocate nor lock (both are counted) nor call
// the system (a process in strict seccomp mode, which the kernel kills at the first call, runs them too). With several
// threads they do not allocate. Usage: process_is_quiet VOICE.linnet [THREADS]
#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linnet.h>

namespace {
volatile int allocations = 0, frees = 0, locks = 0;
int (*real_lock)(pthread_mutex_t*);
}  // namespace

// The program's own definitions come before those of the C library, for the whole process.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) {
  allocations = allocations + 1;
  return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
  allocations = allocations + 1;
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t size) {
  allocations = allocations + 1;
  return __libc_realloc(p, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  allocations = allocations + 1;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** p, size_t alignment, size_t size) {
  *p = aligned_alloc(alignment, size);
  return *p ? 0 : ENOMEM;
}
void free(void* p) {
  frees = frees + 1;
  __libc_free(p);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  locks = locks + 1;
  return real_lock(mutex);
}
}

namespace {

constexpr size_t kFrames = 4;

// 0 when every call succeeded and samples were made and, of a model that draws tokens, scored.
int process(linnet_stream* stream, const float* frames, uint32_t n_features, const uint16_t* tokens) {
  int16_t samples[7];
  size_t taken = 0, made = 0, total = 0, pushed = 0;
  double nats = 0;
  bool refused = false;
  // Scores in the second round, and pulls where the model gives no score.
  const auto take = [&](int round) {
    linnet_status status = LINNET_ERROR_ARGUMENT;
    if (round == 1) status = linnet_stream_score(stream, tokens, 8, &made, &nats);
    refused = round == 1 && status == LINNET_ERROR_ARGUMENT;
    if (status == LINNET_ERROR_ARGUMENT) status = linnet_stream_pull(stream, samples, 7, &made);
    total += made;
    return status == LINNET_OK;
  };
  for (int round = 0; round < 2; ++round) {
    for (pushed = 0; pushed < kFrames; pushed += taken) {
      if (linnet_stream_push(stream, frames + pushed * n_features, kFrames - pushed, &taken) != LINNET_OK) return 1;
      do {
        if (!take(round)) return 2;
      } while (made > 0);
    }
    if (linnet_stream_finish(stream) != LINNET_OK) return 3;
    while (linnet_stream_available(stream) > 0) {
      if (!take(round)) return 4;
    }
    if (linnet_stream_reset(stream, 2, 3) != LINNET_OK) return 5;
  }
  return total > 0 && (refused || nats > 0) ? 0 : 6;
}

// As above, for two streams that are pulled together.
int process_together(linnet_stream* const* streams, const float* frames) {
  int16_t samples[2][7];
  int16_t* const to[2] = {samples[0], samples[1]};
  size_t taken = 0, made[2];
  for (int i = 0; i < 2; ++i) {
    if (linnet_stream_push(streams[i], frames, kFrames, &taken) != LINNET_OK) return 1;
    if (linnet_stream_finish(streams[i]) != LINNET_OK) return 3;
  }
  size_t total = 0;
  do {
    if (linnet_streams_pull(streams, 2, to, 7, made) != LINNET_OK) return 2;
    total += made[0] + made[1];
  } while (made[0] + made[1] > 0);
  for (int i = 0; i < 2; ++i) {
    if (linnet_stream_reset(streams[i], 2, 3) != LINNET_OK) return 5;
  }
  return total > 0 ? 0 : 6;
}

constexpr uint32_t kRows = 258, kCols = 250;  // large enough to be shared by threads, and no whole number of blocks
constexpr size_t kVectors = 11;

// A product of a matrix, with its operands.
struct Product {
  linnet_matrix* matrix = nullptr;
  linnet_product* product = nullptr;
  float* x = static_cast<float*>(calloc(kVectors * kCols, sizeof(float)));
  float* y = static_cast<float*>(calloc(kVectors * kRows, sizeof(float)));

  Product(const char* kernels, uint32_t threads) {
    auto* weights = static_cast<float*>(malloc(kRows * kCols * sizeof(float)));
    for (size_t i = 0; i < kRows * kCols; ++i) weights[i] = static_cast<float>(i % 5);
    linnet_matrix_pack(weights, kRows, kCols, "4x4", "float16", nullptr, 0, &matrix);
    linnet_product_create(matrix, threads, kernels, nullptr, 0, &product);
    free(weights);
    for (size_t i = 0; i < kVectors * kCols; ++i) x[i] = 1.0f;
  }
  ~Product() {
    linnet_product_close(product);
    linnet_matrix_close(matrix);
    free(x);
    free(y);
  }

  int run() const {
    if (linnet_product_run(product, kVectors, x, nullptr, y) != LINNET_OK) return 7;
    return y[kVectors * kRows - 1] > 0.0f ? 0 : 8;
  }
};

int report(const char* kernels, const char* what) {
  fprintf(stderr, "%s: %s\n", kernels, what);
  return 1;
}

int check(const linnet_model* model, const char* kernels, uint32_t threads, const float* frames, uint32_t n_features,
          const uint16_t* tokens) {
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.kernels = kernels;
  options.threads = threads;
  linnet_stream* streams[2];
  for (linnet_stream*& stream : streams) {
    if (linnet_stream_create(model, &options, nullptr, 0, &stream) != LINNET_OK) return report(kernels, "no stream");
  }
  const Product product(kernels, threads);
  const auto process_all = [&] {
    int result = process(streams[0], frames, n_features, tokens);
    if (result == 0) result = process_together(streams, frames);
    return result != 0 ? result : product.run();
  };
  const auto close_all = [&] {
    for (linnet_stream* stream : streams) linnet_stream_close(stream);
  };

  allocations = frees = locks = 0;
  const int result = process_all();
  const int counts[] = {allocations, frees, threads == 1 ? locks : 0};
  printf("%s: %d allocations, %d frees, %d locks\n", kernels, counts[0], counts[1], counts[2]);
  fflush(stdout);
  if (result != 0) return report(kernels, "processing failed");
  if (counts[0] || counts[1] || counts[2]) return report(kernels, "processing allocates, frees or locks");

  if (threads > 1) {
    close_all();
    return 0;
  }
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit, 77);
    syscall(SYS_exit, process_all());
  }
  int status;
  waitpid(child, &status, 0);
  close_all();
  if (WIFSIGNALED(status)) return report(kernels, "processing calls the system");
  if (WEXITSTATUS(status) == 77)
    puts("no seccomp here: system calls are not checked");
  else if (WEXITSTATUS(status) != 0)
    return report(kernels, "processing failed after fork");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  real_lock = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  linnet_model* model;
  linnet_error error;
  linnet_info info;
  const uint32_t threads = argc > 2 ? static_cast<uint32_t>(atoi(argv[2])) : 1;
  if (argc < 2 || linnet_model_open(argv[1], &model, &error) != LINNET_OK) return report("model", "cannot be opened");
  linnet_model_info(model, &info);
  auto* frames = static_cast<float*>(calloc(kFrames * info.n_features, sizeof(float)));
  for (size_t i = 0; i < kFrames * info.n_features; ++i) frames[i] = static_cast<float>(i % 17) / 8.0f - 1.0f;
  const uint16_t tokens[8] = {0, 1, 0, 1, 1, 0, 0, 1};

  // A counter that counts nothing would prove nothing.
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  if (allocations == 0 || locks == 0) return report("counters", "do not count");

  int result = 0;
  for (size_t i = 0; linnet_kernels(i) != nullptr; ++i) {
    result |= check(model, linnet_kernels(i), threads, frames, info.n_features, tokens);
  }
  free(frames);
  linnet_model_close(model);
  return result;
}
