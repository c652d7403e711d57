package io.github.linnet;

import java.io.IOException;

/** A file is no voice that this library can read: truncated, corrupt, hostile, or newer than the library. */
public final class LinnetException extends IOException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final long offset;

  LinnetException(int status, long offset, String message) {
    super(message);
    this.status = status;
    this.offset = offset;
  }

  /** The linnet_status of linnet.h. */
  public int status() {
    return status;
  }

  /** Where in the file the error lies, in bytes. */
  public long offset() {
    return offset;
  }
}
