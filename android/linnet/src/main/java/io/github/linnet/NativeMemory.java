package io.github.linnet;

import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Native memory with a Java owner. It is freed once: by {@link #free}, or, where the owner was dropped without being
 * closed, when some later native memory is taken. (java.lang.ref.Cleaner would do this too, but needs Android 13.)
 */
final class NativeMemory extends PhantomReference<Object> {
  private static final ReferenceQueue<Object> DROPPED = new ReferenceQueue<>();
  private static final Set<NativeMemory> LIVE = ConcurrentHashMap.newKeySet();

  private final Runnable release;

  /** release: frees the memory; must not refer to the owner. */
  NativeMemory(Object owner, Runnable release) {
    super(owner, DROPPED);
    this.release = release;
    LIVE.add(this);
  }

  void free() {
    if (LIVE.remove(this)) release.run();
  }

  static void freeDropped() {
    for (Reference<?> dropped = DROPPED.poll(); dropped != null; dropped = DROPPED.poll()) {
      ((NativeMemory) dropped).free();
    }
  }
}
