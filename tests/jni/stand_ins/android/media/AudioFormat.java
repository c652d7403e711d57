package android.media;

/** Stands in for Android's class of this name: what the sample's service uses of it. */
public class AudioFormat {
  public static final int ENCODING_PCM_16BIT = 2;
}
