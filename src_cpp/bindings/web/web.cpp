// What web/linnet.js needs beside linnet.h: memory, and the places of what it reads and writes in there.
#include <stddef.h>
#include <stdlib.h>

#include "linnet.h"

static_assert(sizeof(linnet_error) == 200 && offsetof(linnet_error, offset) == 192, "as in linnet.js");
static_assert(sizeof(linnet_info) == 40 && offsetof(linnet_info, lookahead) == 12, "as in linnet.js");
static_assert(offsetof(linnet_info, metadata) == 32 && offsetof(linnet_info, metadata_size) == 36, "as in linnet.js");
static_assert(sizeof(linnet_stream_options) == 24 && offsetof(linnet_stream_options, stream) == 8, "as in linnet.js");
static_assert(offsetof(linnet_stream_options, temperature) == 12, "as in linnet.js");
static_assert(offsetof(linnet_stream_options, kernels) == 20, "as in linnet.js");

extern "C" {

// At a multiple of 64; null where there is no memory.
void* linnet_web_allocate(size_t size) { return aligned_alloc(64, (size + 63) / 64 * 64); }

void linnet_web_release(void* memory) { free(memory); }

}  // extern "C"
