package io.github.linnet.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.TextView
import io.github.linnet.Linnet
import io.github.linnet.Voice
import java.io.IOException
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.Executors
import org.json.JSONObject

/** A button that vocodes the packed mel frames and plays the samples while they are made. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()
    private var voice: Voice? = null
    private var player: Player? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        worker.execute(::open)
    }

    override fun onDestroy() {
        player?.stop()
        worker.execute { voice?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    private fun open() {
        try {
            val opened = Linnet.open(this, "voice.linnet")
            voice = opened
            val frames = readFrames("mel.f32")
            runOnUiThread { ready(opened, frames) }
        } catch (e: IOException) {
            show(e.toString())
        }
    }

    /** The floats of an asset, little-endian as every Android is, in a direct buffer. */
    private fun readFrames(asset: String): ByteBuffer {
        val bytes = assets.open(asset).use { it.readBytes() }
        val frames = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        frames.put(bytes)
        (frames as Buffer).rewind() // as a Buffer: older phones know no rewind of ByteBuffer
        return frames
    }

    /** The types that the voice's layers are stored in, that of the most weights first. Older files do not say fp16. */
    private fun weights(voice: Voice): String {
        val layers = JSONObject(voice.metadata()).getJSONArray("layers")
        val stored = (0 until layers.length()).map(layers::getJSONObject).groupBy { it.optString("dtype", "float16") }
        return stored.entries.sortedByDescending { (_, those) -> those.sumOf { it.getLong("stored_weights") } }
            .joinToString { it.key }
    }

    private fun ready(voice: Voice, frames: ByteBuffer) {
        val kernels = Linnet.kernels.joinToString()
        show(getString(R.string.ready, voice.sampleRate(), voice.fileSize(), weights(voice), kernels))
        val button = findViewById<Button>(R.id.play)
        button.isEnabled = true
        button.setOnClickListener {
            val playing = player
            if (playing != null) {
                playing.stop()
            } else {
                val started = Player(voice)
                player = started
                button.setText(R.string.stop)
                worker.execute { play(started, frames) }
            }
        }
    }

    private fun play(player: Player, frames: ByteBuffer) {
        val result = player.play(frames.duplicate().order(ByteOrder.nativeOrder()))
        show(getString(R.string.played, result.soundSeconds, result.workSeconds, result.realTimeFactor))
        runOnUiThread {
            this.player = null
            findViewById<Button>(R.id.play).setText(R.string.play)
        }
    }

    private fun show(text: String) = runOnUiThread { findViewById<TextView>(R.id.status).text = text }
}
