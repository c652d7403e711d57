/* Multiply a block-sparse matrix, one vector and several: product [BLOCK [DTYPE [THREADS]]]
 *
 * Builds with C99 and the library alone: cc product.c $(pkg-config --cflags --libs linnet)
 */
#include <linnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kRows = 3072, kCols = 1024, kBlock = 16, kVectors = 8, kRepeats = 200 };

static int fail(const char* what, linnet_status status) {
  fprintf(stderr, "product: %s: %s\n", what, linnet_status_text(status));
  return 1;
}

/* Between -1 and 1, the same on every machine. */
static float random_float(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

/* One block of 16 x 16 weights in twenty is kept, so that blocks of every shape fit. */
static void fill(float* weights) {
  uint32_t state = 1;
  for (int r = 0; r < kRows; r += kBlock) {
    for (int c = 0; c < kCols; c += kBlock) {
      int kept = random_float(&state) > 0.9f;
      for (int i = 0; i < kBlock * kBlock; ++i) {
        weights[(r + i / kBlock) * kCols + c + i % kBlock] = kept ? random_float(&state) : 0.0f;
      }
    }
  }
}

/* Microseconds of processor time for n vectors. */
static double time_product(linnet_product* product, size_t n, const float* x, float* y) {
  clock_t start = clock();
  for (int i = 0; i < kRepeats; ++i) linnet_product_run(product, n, x, NULL, y);
  return 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / kRepeats;
}

int main(int argc, char** argv) {
  const char* block = argc > 1 ? argv[1] : "4x4";
  const char* dtype = argc > 2 ? argv[2] : "float16";
  uint32_t threads = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1, state = 2;
  float* weights = malloc(sizeof(float) * kRows * kCols);
  float* x = malloc(sizeof(float) * kVectors * kCols);
  float* y = malloc(sizeof(float) * kVectors * kRows);
  linnet_matrix* matrix;
  linnet_product* product;
  linnet_storage storage;
  linnet_status status;
  size_t size;
  double sum = 0.0;

  if (weights == NULL || x == NULL || y == NULL) return fail("memory", LINNET_ERROR_MEMORY);
  fill(weights);
  for (int i = 0; i < kVectors * kCols; ++i) x[i] = random_float(&state);

  /* The matrix lies in memory of ours, which starts at a multiple of 64 bytes. */
  size = linnet_matrix_size(weights, kRows, kCols, block, dtype);
  if (size == 0) {
    fprintf(stderr, "product: block is one of");
    for (size_t i = 0; linnet_blocks(i) != NULL; ++i) fprintf(stderr, " %s", linnet_blocks(i));
    fprintf(stderr, ", dtype one of");
    for (size_t i = 0; linnet_dtypes(i) != NULL; ++i) fprintf(stderr, " %s", linnet_dtypes(i));
    fprintf(stderr, "\n");
    return 1;
  }
  char* memory = malloc(size + 63);
  if (memory == NULL) return fail("memory", LINNET_ERROR_MEMORY);
  char* aligned = memory + (64 - (uintptr_t)memory % 64) % 64;
  status = linnet_matrix_pack(weights, kRows, kCols, block, dtype, aligned, size, &matrix);
  if (status != LINNET_OK) return fail("pack", status);
  linnet_matrix_storage(matrix, &storage);
  status = linnet_product_create(matrix, threads, NULL, NULL, 0, &product);
  if (status != LINNET_OK) return fail("create", status);

  status = linnet_product_run(product, kVectors, x, NULL, y);
  if (status != LINNET_OK) return fail("run", status);
  for (int i = 0; i < kVectors * kRows; ++i) sum += y[i];
  printf("%u x %u, %s %s: %llu weights in %llu bytes; kernels %s; sum %.9g\n", (unsigned)storage.rows,
         (unsigned)storage.cols, block, dtype, (unsigned long long)storage.weights, (unsigned long long)storage.bytes,
         linnet_product_kernels(product), sum);
  printf("one vector %.1f us, %d vectors %.1f us\n", time_product(product, 1, x, y), kVectors,
         time_product(product, kVectors, x, y));
  linnet_product_close(product);
  linnet_matrix_close(matrix);
  free(memory);
  free(y);
  free(x);
  free(weights);
  return 0;
}
