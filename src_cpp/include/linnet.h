/* linnet: sparse WaveRNN vocoders, one audio sample at a time; and the sparse product by itself, at the end.
 *
 * A model is a `.linnet` file: read-only, shared by any number of streams and threads.
 * A stream is one utterance in progress: it belongs to one thread at a time.
 * Feed it frames of features with linnet_stream_push, take 16-bit samples with linnet_stream_pull.
 * After creation these two neither allocate, lock, throw, log nor call the system: they may run in an audio callback.
 * (A stream that uses several threads may lock and call the system to let them wait and wake them.)
 *
 * The same file, features and seed give the same samples on every CPU, with every kernel set, threads and chunking.
 */
#ifndef LINNET_H
#define LINNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(LINNET_SHARED)
#ifdef LINNET_BUILDING
#define LINNET_API __declspec(dllexport)
#else
#define LINNET_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define LINNET_API __attribute__((visibility("default")))
#else
#define LINNET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LINNET_VERSION_MAJOR 0
#define LINNET_VERSION_MINOR 1
#define LINNET_VERSION_PATCH 0

/* The version of the library in use: major * 10000 + minor * 100 + patch. */
LINNET_API uint32_t linnet_version(void);

typedef enum linnet_status
#ifdef __cplusplus
    : int
#endif
{
  LINNET_OK = 0,
  LINNET_ERROR_ARGUMENT = 1,  /* a null pointer, or a number out of range */
  LINNET_ERROR_SYSTEM = 2,    /* the file could not be opened or mapped, or a thread not started: see errno */
  LINNET_ERROR_FORMAT = 3,    /* the file is truncated, corrupt, hostile or newer than this library */
  LINNET_ERROR_MEMORY = 4,    /* no memory, or too little was supplied */
  LINNET_ERROR_ALIGNMENT = 5, /* memory handed over does not start at a multiple of 64 bytes */
  LINNET_ERROR_KERNELS = 6,   /* this CPU has no kernel set of that name */
  LINNET_ERROR_FEATURES = 7,  /* a feature is NaN or infinite; the frame was not taken */
  LINNET_ERROR_STATE = 8      /* push after finish, score after a pull that left samples of a step, and see score */
} linnet_status;

/* A short English sentence for a status, whatever its number; never null. */
LINNET_API const char* linnet_status_text(linnet_status status);

/* ---- Kernel sets ---- */
/* The name of the index-th kernel set that this CPU can run, best first; null past the last. */
LINNET_API const char* linnet_kernels(size_t index);

/* ---- Models ---- */
typedef struct linnet_model linnet_model;

/* What went wrong in a file: a sentence that names the field, and its offset in bytes. */
typedef struct linnet_error {
  char message[192];
  uint64_t offset;
} linnet_error;

typedef struct linnet_info {
  uint32_t sample_rate;      /* Hz */
  uint32_t hop_length;       /* samples per frame */
  uint32_t n_features;       /* floats per frame */
  uint32_t lookahead;        /* frames that must arrive after a frame before its samples are made */
  uint32_t samples_per_step; /* samples that the network makes at a time; they can be pulled one by one */
  uint64_t file_size;        /* bytes */
  const char* metadata;      /* JSON text, not terminated by a zero; lives as long as the model */
  size_t metadata_size;      /* bytes */
} linnet_info;

/* Map the file at `path` and validate it. `error` may be null; on every failure it is written, and *model is null.
 * The file must stay as it is while the model is open: one that is truncated ends the program by SIGBUS, one that is
 * overwritten in place may do anything. A new file that is renamed to the old one's name does no harm. */
LINNET_API linnet_status linnet_model_open(const char* path, linnet_model** model, linnet_error* error);

/* As linnet_model_open, but the model runs on a copy in memory: the file may be changed, or removed. */
LINNET_API linnet_status linnet_model_open_copy(const char* path, linnet_model** model, linnet_error* error);

/* Validate a file that lies in memory, aligned to 64 bytes. The memory is not copied: it must outlive the model. */
LINNET_API linnet_status linnet_model_open_memory(const void* data, size_t size, linnet_model** model,
                                                  linnet_error* error);

LINNET_API linnet_status linnet_model_info(const linnet_model* model, linnet_info* info);

/* Close after the last of its streams. Null is allowed. */
LINNET_API void linnet_model_close(linnet_model* model);

/* ---- Streams ---- */
typedef struct linnet_stream linnet_stream;

typedef struct linnet_stream_options {
  uint64_t seed;       /* the key of the random numbers */
  uint32_t stream;     /* a second key: utterances of one seed that must differ */
  float temperature;   /* divides the logits, multiplies noise; 1 samples the model as trained, 0 takes the likeliest */
  uint32_t threads;    /* 1 .. 16, the caller's among them; the others are the stream's own and sleep between calls */
  const char* kernels; /* a name from linnet_kernels, or null for the best */
} linnet_stream_options;

/* seed 0, stream 0, temperature 1, 1 thread, the best kernels. */
LINNET_API void linnet_stream_options_init(linnet_stream_options* options);

/* Bytes of memory that a stream of this model needs; 0 where `threads` is out of range. `options` may be null. */
LINNET_API size_t linnet_stream_size(const linnet_model* model, const linnet_stream_options* options);

/* Create a stream in `memory` (linnet_stream_size bytes, aligned to 64) or, where null, its own. `options` or null. */
LINNET_API linnet_status linnet_stream_create(const linnet_model* model, const linnet_stream_options* options,
                                              void* memory, size_t memory_size, linnet_stream** stream);

/* Offer `n_frames` frames, n_features floats each, one after the other. Frames are taken while no sample waits to be
 * pulled; *taken says how many were. */
LINNET_API linnet_status linnet_stream_push(linnet_stream* stream, const float* frames, size_t n_frames, size_t* taken);

/* Say that no frame follows: the last `lookahead` frames become available. */
LINNET_API linnet_status linnet_stream_finish(linnet_stream* stream);

/* Samples that can be pulled before another frame is needed. */
LINNET_API size_t linnet_stream_available(const linnet_stream* stream);

/* Make up to `capacity` samples; *made says how many (fewer only where another frame is needed, or at the end). */
LINNET_API linnet_status linnet_stream_pull(linnet_stream* stream, int16_t* samples, size_t capacity, size_t* made);

/* linnet_stream_pull of several different streams of one model: the samples that each would make alone, but sooner,
 * since up to eight at a time read the weights together. Up to `capacity` samples each, to samples[i]; made[i] says how
 * many. Streams may stand anywhere in their utterances; those of several threads take turns. */
LINNET_API linnet_status linnet_streams_pull(linnet_stream* const* streams, size_t n_streams, int16_t* const* samples,
                                             size_t capacity, size_t* made);

/* As pull, but teacher-forced: the model is told the `n_tokens` companded samples, and the negative log-likelihood that
 * it gave them is added to *nats. *made says how many were scored: none if the model lacks one of the tokens (one that
 * filters pulses and noise lacks all). Where a step makes several samples, n_tokens is a multiple of them, and in
 * sub-bands tokens are those of all bands in turn, + 32768; of a model of excitations, a recording's samples + 32768.
 * A model that matches its samples to the features is scored before that, only from the start of a stream, which goes
 * on without matching until it is reset; so is one of sub-tensors, whose nats lag until the last token, and no pull. */
LINNET_API linnet_status linnet_stream_score(linnet_stream* stream, const uint16_t* tokens, size_t n_tokens,
                                             size_t* made, double* nats);

/* Back to the state after creation, with another seed and stream. */
LINNET_API linnet_status linnet_stream_reset(linnet_stream* stream, uint64_t seed, uint32_t stream_number);

/* The name of the kernel set that this stream runs. */
LINNET_API const char* linnet_stream_kernels(const linnet_stream* stream);

/* End a stream's threads and free its own memory; the caller's may be used again only after this. Null is allowed. */
LINNET_API void linnet_stream_close(linnet_stream* stream);

/* ---- Sparse products ---- */
/* y = W x without the blocks of W that are all zeros, and without a model. A matrix is read-only and shared by any
 * number of products; a product belongs to one thread at a time. */
typedef struct linnet_matrix linnet_matrix;
typedef struct linnet_product linnet_product;
typedef struct linnet_storage {
  uint32_t rows, cols;
  uint64_t weights; /* stored: whole blocks, zeros among them included */
  uint64_t bytes;   /* of the weights and of where they stand */
} linnet_storage;

/* The index-th block shape, rows x columns or "dense", and the index-th type of weights; null past the last. */
LINNET_API const char* linnet_blocks(size_t index);
LINNET_API const char* linnet_dtypes(size_t index);

/* Round `weights` (rows, cols), row after row, to the nearest of `dtype` and store those blocks of shape `block` that
 * hold a nonzero, in `memory` (aligned to 64 bytes) or in memory of its own where `memory` is null. The first function
 * gives the bytes that this takes; 0 for what the second refuses: a weight that is not finite or beyond the range of
 * dtype, more than 65535 block rows or columns, or 16384 columns of int8 (whose products round x, too). */
LINNET_API size_t linnet_matrix_size(const float* weights, uint32_t rows, uint32_t cols, const char* block,
                                     const char* dtype);
LINNET_API linnet_status linnet_matrix_pack(const float* weights, uint32_t rows, uint32_t cols, const char* block,
                                            const char* dtype, void* memory, size_t size, linnet_matrix** matrix);
LINNET_API linnet_status linnet_matrix_storage(const linnet_matrix* matrix, linnet_storage* storage);
LINNET_API void linnet_matrix_close(linnet_matrix* matrix); /* after the last of its products */

/* A product with 1 .. 16 threads and a kernel set, null for the best; memory as above. */
LINNET_API size_t linnet_product_size(const linnet_matrix* matrix, uint32_t threads);
LINNET_API linnet_status linnet_product_create(const linnet_matrix* matrix, uint32_t threads, const char* kernels,
                                               void* memory, size_t memory_size, linnet_product** product);

/* y[i] = W x[i] + bias for n vectors, x (n, cols) and y (n, rows); bias (rows) or null. y overlaps nothing. From four
 * vectors on they read the weights together. It never allocates; with one thread it never calls the system. */
LINNET_API linnet_status linnet_product_run(linnet_product* product, size_t n, const float* x, const float* bias,
                                            float* y);
LINNET_API const char* linnet_product_kernels(const linnet_product* product);
LINNET_API void linnet_product_close(linnet_product* product);
#ifdef __cplusplus
}
#endif
#endif
