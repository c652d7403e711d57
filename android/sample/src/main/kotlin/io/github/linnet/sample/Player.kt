package io.github.linnet.sample

import android.media.AudioAttributes
import android.media.AudioFormat
import android.media.AudioTrack
import android.os.Process
import android.os.SystemClock
import io.github.linnet.Voice
import io.github.linnet.pullAll
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** One utterance through an AudioTrack in streaming mode: a hop is written as soon as it is made. */
class Player(private val voice: Voice) {
    /** Seconds of sound, and seconds of work for them without the waiting for the audio device. */
    class Result(val soundSeconds: Double, val workSeconds: Double) {
        val realTimeFactor: Double
            get() = if (soundSeconds > 0) workSeconds / soundSeconds else 0.0
    }

    @Volatile private var stopped = false

    /** Ends [play] before the next hop; from any thread. */
    fun stop() {
        stopped = true
    }

    /** Plays frames in native byte order to their end, or until [stop]; returns when the last sample was heard. */
    fun play(frames: ByteBuffer): Result {
        Process.setThreadPriority(Process.THREAD_PRIORITY_AUDIO)
        val hop = ByteBuffer.allocateDirect(2 * voice.hopLength()).order(ByteOrder.nativeOrder())
        val frameSize = Float.SIZE_BYTES * voice.featureCount()
        val end = frames.limit()
        var waited = 0L
        var samples = 0
        val track = createTrack()
        try {
            track.play()
            val start = SystemClock.elapsedRealtimeNanos()
            val write = { made: ByteBuffer ->
                val before = SystemClock.elapsedRealtimeNanos()
                samples += made.remaining() / Short.SIZE_BYTES
                track.write(made, made.remaining(), AudioTrack.WRITE_BLOCKING)
                waited += SystemClock.elapsedRealtimeNanos() - before
            }
            voice.newStream().use { stream ->
                while (frames.position() < end && !stopped) {
                    (frames as Buffer).limit(frames.position() + frameSize)
                    stream.push(frames)
                    stream.pullAll(hop, write)
                }
                if (!stopped) {
                    stream.finish()
                    stream.pullAll(hop, write)
                }
            }
            val worked = SystemClock.elapsedRealtimeNanos() - start - waited
            if (!stopped) { // when a buffer of silence has found room, all before it was heard
                val silence = ByteBuffer.allocateDirect(Short.SIZE_BYTES * track.bufferSizeInFrames)
                track.write(silence, silence.remaining(), AudioTrack.WRITE_BLOCKING)
            }
            track.pause()
            return Result(samples.toDouble() / voice.sampleRate(), worked / 1e9)
        } finally {
            track.release()
        }
    }

    private fun createTrack(): AudioTrack {
        val format = AudioFormat.Builder()
            .setSampleRate(voice.sampleRate())
            .setChannelMask(AudioFormat.CHANNEL_OUT_MONO)
            .setEncoding(AudioFormat.ENCODING_PCM_16BIT)
            .build()
        val smallest = AudioTrack.getMinBufferSize(
            voice.sampleRate(), AudioFormat.CHANNEL_OUT_MONO, AudioFormat.ENCODING_PCM_16BIT,
        )
        val attributes = AudioAttributes.Builder()
            .setUsage(AudioAttributes.USAGE_MEDIA)
            .setContentType(AudioAttributes.CONTENT_TYPE_SPEECH)
            .build()
        return AudioTrack.Builder()
            .setAudioAttributes(attributes)
            .setAudioFormat(format)
            .setTransferMode(AudioTrack.MODE_STREAM)
            .setBufferSizeInBytes(maxOf(smallest, 4 * voice.hopLength()))
            .build()
    }
}
