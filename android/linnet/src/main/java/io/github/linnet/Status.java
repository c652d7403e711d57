package io.github.linnet;

/** The status codes of linnet.h and the unchecked exceptions that they become. */
final class Status {
  static final int OK = 0;
  static final int SYSTEM = 2;
  static final int FORMAT = 3;
  static final int MEMORY = 4;
  static final int ALIGNMENT = 5;
  static final int FEATURES = 7;
  static final int STATE = 8;

  private Status() {}

  /** The count in what push and pull return; throws where the status is not OK. */
  static int count(long packed) {
    check((int) (packed >>> 32));
    return (int) packed;
  }

  /**
   * Throws OutOfMemoryError, IllegalStateException or IllegalArgumentException for a status that is not OK.
   */
  static void check(int status) {
    switch (status) {
      case OK:
        return;
      case MEMORY:
        throw new OutOfMemoryError("no native memory");
      case STATE:
        throw new IllegalStateException("no frame may follow finish()");
      case SYSTEM:
        throw new IllegalStateException("the system started no thread");
      case ALIGNMENT:
        throw new IllegalArgumentException(
            "the buffer's position is not aligned to its elements (4 bytes for features, 2 for samples)");
      case FEATURES:
        throw new IllegalArgumentException("a feature is NaN or infinite; its frame was not taken");
      default:
        throw new IllegalArgumentException("linnet status " + status);
    }
  }
}
