#include "file/mapped_file.h"

#include <errno.h>

#include "run/arena.h"

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#include <fcntl.h>
#if !defined(__wasm__)
#include <sys/mman.h>
#endif
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace linnet {
namespace {

#if defined(_WIN32)

constexpr bool kMaps = true;

using File = HANDLE;

bool open_file(const char* path, File* file, uint64_t* size) {
  wchar_t wide[32768];
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 32768) == 0) {
    errno = EINVAL;
    return false;
  }
  *file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (*file == INVALID_HANDLE_VALUE) {
    errno = GetLastError() == ERROR_ACCESS_DENIED ? EACCES : ENOENT;
    return false;
  }
  LARGE_INTEGER found;
  *size = GetFileSizeEx(*file, &found) ? static_cast<uint64_t>(found.QuadPart) : 0;
  return true;
}

void close_file(File file) { CloseHandle(file); }

const void* map(File file, size_t) {
  const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  const void* address = mapping == nullptr ? nullptr : MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
  if (mapping != nullptr) CloseHandle(mapping);
  if (address == nullptr) errno = ENOMEM;
  return address;
}

void unmap(const void* address, size_t) { UnmapViewOfFile(address); }

// Up to `most` bytes; 0 at the end, less than 0 where the system refuses.
int64_t read_some(File file, void* to, size_t most) {
  DWORD count;
  if (ReadFile(file, to, static_cast<DWORD>(most), &count, nullptr)) return count;
  errno = EIO;
  return -1;
}

#else

using File = int;

bool open_file(const char* path, File* file, uint64_t* size) {
  // O_NONBLOCK: a pipe is refused below, not waited for.
  *file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*file < 0) return false;
  struct stat status;
  if (fstat(*file, &status) == 0) {
    *size = static_cast<uint64_t>(status.st_size);
    if (S_ISREG(status.st_mode)) return true;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
  }
  const int error = errno;
  ::close(*file);
  errno = error;
  return false;
}

void close_file(File file) { ::close(file); }

#if defined(__wasm__)  // which has no mappings: files are copied

constexpr bool kMaps = false;

const void* map(File, size_t) { return nullptr; }

void unmap(const void*, size_t) {}

#else

constexpr bool kMaps = true;

const void* map(File file, size_t size) {
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  return address == MAP_FAILED ? nullptr : address;
}

void unmap(const void* address, size_t size) { munmap(const_cast<void*>(address), size); }

#endif

int64_t read_some(File file, void* to, size_t most) {
  for (;;) {
    const int64_t count = read(file, to, most);
    if (count >= 0 || errno != EINTR) return count;
  }
}

#endif

constexpr size_t kMostAtOnce = size_t{1} << 30;  // systems read no more than 2^31 bytes at once

// `size` bytes of the file, or as many as there still are; less than 0 where the system refuses.
int64_t read_whole(File file, uint8_t* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    const size_t left = size - done;
    const int64_t count = read_some(file, to + done, left < kMostAtOnce ? left : kMostAtOnce);
    if (count < 0) return count;
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return static_cast<int64_t>(done);
}

}  // namespace

bool MappedFile::open(const char* path, bool copy) {
  File file;
  uint64_t size;
  if (!open_file(path, &file, &size)) return false;
  copied_ = copy || !kMaps;
  size_ = static_cast<size_t>(size);
  int error = 0;
  if (size > SIZE_MAX / 2) {
    error = EFBIG;
  } else if (size != 0 && !copied_) {
    data_ = static_cast<const uint8_t*>(map(file, size_));
    if (data_ == nullptr) error = errno;
  } else if (size != 0) {
    uint8_t* memory = static_cast<uint8_t*>(allocate(size_));
    data_ = memory;
    const int64_t count = memory == nullptr ? -1 : read_whole(file, memory, size_);
    if (count < 0) error = errno;
    size_ = static_cast<size_t>(count);
  }
  close_file(file);
  if (error == 0) return true;
  close();
  errno = error;
  return false;
}

void MappedFile::close() {
  if (data_ != nullptr && copied_) {
    release(const_cast<uint8_t*>(data_));
  } else if (data_ != nullptr) {
    unmap(data_, size_);
  }
  data_ = nullptr;
  size_ = 0;
}

}  // namespace linnet
