package io.github.linnet

import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * The frames between the position and the limit of a direct buffer in native byte order, then the end of the utterance.
 *
 * Samples come as soon as they can be made: `play` gets [samples], a direct buffer in native byte order, with them
 * between its position and its limit. A hop (2 * hopLength bytes) is a natural size for it. Nothing is allocated.
 *
 * @throws IllegalArgumentException as [VoiceStream.push] and [VoiceStream.pull]; or where no sample fits into [samples]
 * @throws IllegalStateException after finish or close
 */
inline fun VoiceStream.synthesize(frames: ByteBuffer, samples: ByteBuffer, play: (ByteBuffer) -> Unit) {
    while (frames.hasRemaining()) {
        push(frames)
        pullAll(samples, play)
    }
    finish()
    pullAll(samples, play)
}

/** Every sample that can be made before another frame is needed, in as many pieces as [samples] makes necessary. */
inline fun VoiceStream.pullAll(samples: ByteBuffer, play: (ByteBuffer) -> Unit) {
    require(samples.capacity() >= Short.SIZE_BYTES) { "no sample fits into ${samples.capacity()} bytes" }
    while (true) {
        (samples as Buffer).clear()
        if (pull(samples) == 0) return
        (samples as Buffer).flip()
        play(samples)
    }
}

/**
 * Frames of featureCount floats each, then the end of the utterance: samples as soon as they can be made, in arrays of
 * at most [chunk] samples. The sequence can be iterated once, as the stream can.
 *
 * @throws IllegalArgumentException where a frame has another size or holds NaN or infinity, or [chunk] is below 1
 * @throws IllegalStateException after finish or close
 */
fun VoiceStream.synthesize(frames: Sequence<FloatArray>, chunk: Int = 256): Sequence<ShortArray> {
    require(chunk > 0) { "a chunk of $chunk samples" }
    return sequence {
        for (frame in frames) {
            require(push(frame) == 1) { "a frame does not have ${frame.size} floats" }
            yieldAll(pieces(chunk))
        }
        finish()
        yieldAll(pieces(chunk))
    }
}

private fun VoiceStream.pieces(chunk: Int): Sequence<ShortArray> = generateSequence {
    val samples = ShortArray(minOf(chunk, available()))
    if (samples.isEmpty()) null else samples.copyOf(pull(samples))
}
