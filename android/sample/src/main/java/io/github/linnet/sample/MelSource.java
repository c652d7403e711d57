package io.github.linnet.sample;

import java.io.IOException;
import java.util.Locale;

/** An acoustic model: texts to the frames of features that a voice takes. linnet has none of its own. */
public interface MelSource {
  /** The language that it speaks, with its country. */
  Locale locale();

  /**
   * Begin an utterance.
   *
   * @param rate how much faster than usual to speak: 1 as usual, 2 twice as fast
   * @return its frames; null where this source cannot say the text
   * @throws IOException where what it reads cannot be read
   */
  Frames say(CharSequence text, float rate) throws IOException;

  /** The frames of one utterance, in order. They are asked for one by one, on one thread, as samples are needed. */
  interface Frames {
    /**
     * The next frame: as many floats as the voice has features.
     *
     * @return false, with nothing written, after the last frame
     */
    boolean next(float[] frame) throws IOException;
  }
}
