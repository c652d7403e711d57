#include "file/mapped_file.h"

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <errno.h>
#include <windows.h>

namespace linnet {

bool MappedFile::open(const char* path) {
  wchar_t wide[32768];
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 32768) == 0) {
    errno = EINVAL;
    return false;
  }
  const HANDLE file =
      CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    errno = GetLastError() == ERROR_ACCESS_DENIED ? EACCES : ENOENT;
    return false;
  }
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file, &size)) size.QuadPart = 0;
  if (size.QuadPart != 0) {
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping != nullptr) {
      data_ = static_cast<const uint8_t*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
      CloseHandle(mapping);
    }
  }
  CloseHandle(file);
  if (size.QuadPart != 0 && data_ == nullptr) {
    errno = ENOMEM;
    return false;
  }
  size_ = static_cast<size_t>(size.QuadPart);
  return true;
}

void MappedFile::close() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace linnet

#else

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linnet {

bool MappedFile::open(const char* path) {
  // O_NONBLOCK: a pipe is refused below, not waited for.
  const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  struct stat status;
  bool ok = fstat(file, &status) == 0;
  if (ok && !S_ISREG(status.st_mode)) {
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    ok = false;
  }
  if (ok && status.st_size != 0) {
    void* address = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    ok = address != MAP_FAILED;
    if (ok) {
      data_ = static_cast<const uint8_t*>(address);
      size_ = static_cast<size_t>(status.st_size);
    }
  }
  const int error = errno;
  ::close(file);
  errno = error;
  return ok;
}

void MappedFile::close() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace linnet

#endif
