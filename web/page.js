// The page: a sound in, its pictures, and what a voice makes of its features.

import { Picture } from "./drawing.js";
import { Linnet } from "./linnet.js";
import { resample } from "./resampling.js";

const LONGEST = 30; // seconds of a sound that are taken
const DECODED = 48000; // Hz, that browsers bring files to
const SHOWN = 16000; // Hz, of the original's pictures: the bundled voices' rate
const FAST_ENOUGH = 1.2; // times real time, to play while samples are made

const element = (id) => document.getElementById(id);
const say = (text) => (element("status").textContent = text);

const module = Linnet.module();
const files = new Map(); // of voices, by name
const voices = new Map();
let sound = null; // { samples, rate }
let made = null; // { samples, rate }
let playing = null; // an AudioContext

async function voiceOf(name) {
  if (!voices.has(name)) {
    const response = await fetch(`voices/${name}.linnet`);
    if (!response.ok) throw new Error(`voices/${name}.linnet: ${response.status}`);
    files.set(name, await response.arrayBuffer());
    voices.set(name, await Linnet.open(files.get(name), { module: await module }));
  }
  return voices.get(name);
}

/** The channels of a wav file of 16 bits, at the rate that it has; null for other files. */
function readWav(bytes) {
  const view = new DataView(bytes);
  const tag = (at) => String.fromCharCode(...new Uint8Array(bytes, at, 4));
  if (bytes.byteLength < 44 || tag(0) !== "RIFF" || tag(8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= bytes.byteLength; ) {
    const [size, start] = [view.getUint32(at + 4, true), at + 8];
    if (tag(at) === "fmt ") format = { pcm: view.getUint16(start, true) === 1, bits: view.getUint16(start + 14, true), at: start };
    if (tag(at) === "data") {
      if (!format?.pcm || format.bits !== 16) return null;
      const n = view.getUint16(format.at + 2, true);
      const length = Math.floor(Math.min(size, bytes.byteLength - start) / 2 / n);
      const channel = (c) => Float32Array.from({ length }, (_, i) => view.getInt16(start + 2 * (i * n + c), true) / 32768);
      return { channels: Array.from({ length: n }, (_, c) => channel(c)), rate: view.getUint32(format.at + 4, true) };
    }
    at = start + size + (size % 2);
  }
  return null;
}

/** The channels of any file that the browser knows, at a rate that it brings them to. */
async function decode(bytes) {
  const decoded = await new OfflineAudioContext(1, 1, DECODED).decodeAudioData(bytes);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, c) => decoded.getChannelData(c));
  return { channels, rate: DECODED };
}

async function load(bytes, name) {
  stop();
  // Browsers turn 16 bits into floats in ways of their own.
  const { channels, rate } = readWav(bytes) ?? (await decode(bytes));
  const samples = channels[0].slice(0, LONGEST * rate);
  for (let i = 0; channels.length > 1 && i < samples.length; ++i) {
    samples[i] = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
  }
  if (samples.length === 0) throw new Error(`${name} has no samples`);
  sound = { samples, rate };
  const shown = resample(Float64Array.from(samples), rate, SHOWN);
  new Picture(element("original-wave"), element("original-spectrogram"), shown.length).add(shown);
  element("name").textContent = name;
  element("play-original").disabled = element("make").disabled = false;
  const cut = channels[0].length > samples.length ? `, the first ${LONGEST} s of it` : "";
  say(`${name}: ${(samples.length / rate).toFixed(1)} s at ${rate} Hz${cut}.`);
}

function stop() {
  playing?.close();
  playing = null;
}

function play({ samples, rate }) {
  stop();
  playing = new AudioContext();
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(playing, { buffer });
  source.connect(playing.destination);
  source.start();
}

/**
 * How many seconds of sound this thread makes in a second: audio threads have no clock fine enough. The first part of
 * the time is for the engine to compile.
 */
function speedOf(voice, frames) {
  const stream = voice.stream();
  const start = performance.now();
  let [from, made] = [start, 0];
  for (let end = start; end < start + 500; end = performance.now()) {
    if (stream.available === 0) {
      stream.reset();
      stream.push(frames);
      stream.finish();
    }
    if (from === start && end > start + 200) [from, made] = [performance.now(), 0];
    made += stream.pull(voice.hopLength).length;
  }
  stream.close();
  return made / voice.sampleRate / ((performance.now() - from) / 1000);
}

/**
 * Let the worklet make all samples in `context`; `heard` gets { samples, missing } as they are made. Resolves at
 * the end.
 */
async function stream(context, bytes, frames, seed, heard) {
  await context.audioWorklet.addModule("worklet.js");
  const processorOptions = { bytes, module: await module, seed };
  const node = new AudioWorkletNode(context, "linnet", { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
  node.connect(context.destination);
  node.port.postMessage({ frames });
  node.port.postMessage("finish");
  await new Promise((resolve, reject) => {
    let started = false;
    node.onprocessorerror = () => reject(new Error("the worklet failed"));
    node.port.onmessage = ({ data }) => {
      if (data.error) return reject(new Error(data.error));
      heard(data);
      if (data.ended) return resolve();
      if (!started && context instanceof OfflineAudioContext) context.startRendering();
      started = true;
    };
  });
}

async function make() {
  stop();
  element("make").disabled = true;
  const name = document.querySelector("input[name=voice]:checked").value;
  const seed = element("seed").valueAsNumber;
  try {
    say(`Loading ${name}.`);
    const voice = await voiceOf(name);
    const { sampleRate: rate, lookahead, hopLength } = voice;
    say("Listening.");
    const frames = voice.features(sound.samples, sound.rate);
    const speed = speedOf(voice, frames);
    const live = element("live").checked && speed > FAST_ENOUGH;
    element("speed").textContent = `${speed.toFixed(1)} × real time`;
    const total = (frames.length / voice.nFeatures) * hopLength;
    const picture = new Picture(element("made-wave"), element("made-spectrogram"), total);
    const samples = new Int16Array(total);
    let count = 0;
    let missing = 0;
    const heard = (news) => {
      samples.set(news.samples, count);
      count += news.samples.length;
      missing += news.missing;
      picture.add(Float32Array.from(news.samples, (sample) => sample / 32768));
      element("gaps").textContent = missing > 0 ? `${((1000 * missing) / rate).toFixed(0)} ms` : "none";
    };
    say(live ? "Playing while samples are made." : "Making samples.");
    const context = live ? new AudioContext({ sampleRate: rate }) : new OfflineAudioContext(1, total + 128, rate);
    if (live) {
      playing = context;
      await context.resume();
    }
    await stream(context, files.get(name), frames, seed, heard);
    made = { samples: Float32Array.from(samples, (sample) => sample / 32768), rate };
    if (!live) play(made);
    element("lookahead").textContent = `${((1000 * lookahead * hopLength) / rate).toFixed(1)} ms`;
    element("used-seed").textContent = seed;
    element("kernels").textContent = voice.kernels[0];
    element("hash").textContent = await sha256(samples);
    element("save").href = URL.createObjectURL(wav(samples, rate));
    element("save").hidden = element("play-made").disabled = false;
    say(`${name} made ${(total / rate).toFixed(1)} s.`);
  } catch (error) {
    say(`${error.message}.`);
  } finally {
    element("make").disabled = false;
  }
}

async function sha256(samples) {
  const digest = await crypto.subtle.digest("SHA-256", samples);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function wav(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + samples.byteLength, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // mono
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

let recorder = null;

async function record() {
  const button = element("record");
  if (recorder !== null) return recorder.stop();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const pieces = [];
  recorder = new MediaRecorder(microphone);
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  recorder.onstop = () => {
    microphone.getTracks().forEach((track) => track.stop());
    recorder = null;
    button.textContent = "Record";
    button.ariaPressed = "false";
    guarded(() => loadFile(new File(pieces, "recording")));
  };
  recorder.start();
  button.textContent = "Stop";
  button.ariaPressed = "true";
  say("Recording.");
  setTimeout(() => recorder?.stop(), 1000 * LONGEST);
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    say(`${error.message}.`);
  }
}

async function loadClip() {
  const option = element("clip").selectedOptions[0];
  const response = await fetch(option.value);
  if (!response.ok) throw new Error(`${option.value}: ${response.status}`);
  await load(await response.arrayBuffer(), option.textContent);
}

async function loadFile(file) {
  if (!file) return;
  await load(await file.arrayBuffer(), file.name);
  element("clip").selectedIndex = -1; // so that any clip can be chosen next
}

function listen() {
  const drop = element("drop");
  element("unserved").hidden = true;
  element("choices").addEventListener("submit", (event) => {
    event.preventDefault();
    make();
  });
  element("clip").addEventListener("change", () => guarded(loadClip));
  element("file").addEventListener("change", ({ target }) => guarded(() => loadFile(target.files[0])));
  element("record").addEventListener("click", () => guarded(record));
  element("play-original").addEventListener("click", () => play(sound));
  element("play-made").addEventListener("click", () => play(made));
  for (const type of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", type === "dragover");
    });
  }
  drop.addEventListener("drop", ({ dataTransfer }) => guarded(() => loadFile(dataTransfer.files[0])));
}

listen();
guarded(loadClip);
