// The page: a sound in, its pictures, and what a voice makes of its features.

import { Picture } from "./drawing.js";
import { Linnet } from "./linnet.js";

const LONGEST = 30; // seconds of a sound that are taken
const DECODED = 48000; // Hz, of files that do not say their rate where it is known how to look

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

/** The rate that a wav file states, so that nobody but linnet resamples it. */
function rateOf(bytes) {
  const view = new DataView(bytes);
  const isWav = bytes.byteLength > 28 && view.getUint32(0) === 0x52494646 && view.getUint32(12) === 0x666d7420;
  const rate = isWav ? view.getUint32(24, true) : DECODED;
  return rate >= 8000 && rate <= 96000 ? rate : DECODED;
}

async function load(bytes, name) {
  stop();
  const rate = rateOf(bytes);
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  const samples = new Float32Array(Math.min(decoded.length, LONGEST * rate));
  for (let channel = 0; channel < decoded.numberOfChannels; ++channel) {
    const data = decoded.getChannelData(channel);
    for (let i = 0; i < samples.length; ++i) samples[i] += data[i] / decoded.numberOfChannels;
  }
  if (samples.length === 0) throw new Error(`${name} has no samples`);
  sound = { samples, rate };
  new Picture(element("original-wave"), element("original-spectrogram"), samples.length).add(samples);
  element("play-original").disabled = element("make").disabled = false;
  const cut = decoded.length > samples.length ? `, the first ${LONGEST} s of it` : "";
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
 * Let the worklet make all samples in `context`; `heard` gets { samples, busy, missing } as they are made. Resolves at
 * the end.
 */
async function stream(context, bytes, frames, seed, heard) {
  await context.audioWorklet.addModule("worklet.js");
  const processorOptions = { bytes, module: await module, seed };
  const node = new AudioWorkletNode(context, "linnet", { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
  const ended = new Promise((resolve, reject) => {
    node.onprocessorerror = () => reject(new Error("the worklet failed"));
    node.port.onmessage = ({ data }) => {
      if (data.error) return reject(new Error(data.error));
      heard(data);
      if (data.ended) resolve();
    };
  });
  node.port.postMessage({ frames });
  node.port.postMessage("finish");
  node.connect(context.destination);
  if (context instanceof OfflineAudioContext) await context.startRendering();
  else await context.resume();
  await ended;
}

async function make() {
  stop();
  element("make").disabled = true;
  const name = document.querySelector("input[name=voice]:checked").value;
  const seed = element("seed").valueAsNumber;
  const live = element("live").checked;
  try {
    say(`Loading ${name}.`);
    const voice = await voiceOf(name);
    const { sampleRate: rate, lookahead, hopLength } = voice;
    say("Features.");
    const frames = voice.features(sound.samples, sound.rate);
    const total = (frames.length / voice.nFeatures) * hopLength;
    const picture = new Picture(element("made-wave"), element("made-spectrogram"), total);
    const samples = new Int16Array(total);
    let count = 0;
    let busy = 0;
    let missing = 0;
    const heard = (news) => {
      samples.set(news.samples, count);
      count += news.samples.length;
      busy += news.busy;
      missing += news.missing;
      picture.add(Float32Array.from(news.samples, (sample) => sample / 32768));
      if (live) say(`Made and played: ${(count / rate).toFixed(1)} of ${(total / rate).toFixed(1)} s.`);
      element("speed").textContent = busy > 0 ? `${(count / rate / (busy / 1000)).toFixed(1)} × real time` : "–";
      element("gaps").textContent = missing > 0 ? `${((1000 * missing) / rate).toFixed(0)} ms` : "none";
    };
    say("Making samples.");
    const context = live ? new AudioContext({ sampleRate: rate }) : new OfflineAudioContext(1, total + 128, rate);
    if (live) playing = context;
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
    guarded(async () => load(await new Blob(pieces).arrayBuffer(), "Recording"));
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

const loadFile = async (file) => file && load(await file.arrayBuffer(), file.name);

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
