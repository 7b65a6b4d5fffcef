/**
 * The sound of one call: microphone and sample caller in, the assistant out.
 *
 * Microphone and samples meet in one uplink node, so a phrase can be said into a call that has no microphone, or over
 * one that has. Where there is no AudioWorklet (an old browser, or a page opened by a bare address without https) the
 * same arithmetic runs in a ScriptProcessor.
 */

import { FrameCutter, Player } from "./dsp.js";
import { Trouble } from "./troubles.js";

const SCRIPT_BLOCK = 1024;
const SAMPLE_MONITOR_GAIN = 0.35;
const MICROPHONE_WISHES = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** Asks for the microphone. @returns {Promise<MediaStream>} @throws {Trouble} */
export async function openMicrophone() {
  if (!window.isSecureContext) throw new Trouble("insecure");
  if (!navigator.mediaDevices?.getUserMedia) throw new Trouble("microphone-unsupported");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE_WISHES });
  } catch (error) {
    if (error.name === "NotAllowedError" || error.name === "SecurityError") throw new Trouble("microphone-denied");
    if (error.name === "NotFoundError" || error.name === "OverconstrainedError") throw new Trouble("microphone-missing");
    if (error.name === "NotReadableError" || error.name === "AbortError") throw new Trouble("microphone-busy");
    throw error;
  }
}

/** Everything that sounds in one call. Made by `CallAudio.open`, ended by `close`. */
export class CallAudio {
  /**
   * @param {MediaStream | null} microphone taken over: closed together with the call
   * @param {{onFrame: (frame: ArrayBuffer) => void, onPlayer: (message: object) => void}} listener
   * @throws {Trouble}
   */
  static async open(microphone, listener) {
    const Context = window.AudioContext ?? window.webkitAudioContext;
    if (!Context) throw new Trouble("audio-unsupported");
    const context = new Context({ latencyHint: "interactive" });
    try {
      const nodes = context.audioWorklet ? await workletNodes(context, listener) : scriptNodes(context, listener);
      const audio = new CallAudio(context, nodes, microphone);
      await context.resume();
      return audio;
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  constructor(context, nodes, microphone) {
    this.context = context;
    this.nodes = nodes;
    this.microphone = microphone;
    this.speaking = null;
    this.release = () => {};
    nodes.uplink.connect(context.destination);
    nodes.player.connect(context.destination);
    this.microphoneGain = context.createGain();
    this.microphoneGain.connect(nodes.uplink);
    if (microphone !== null) context.createMediaStreamSource(microphone).connect(this.microphoneGain);
    this.monitor = context.createGain();
    this.monitor.gain.value = SAMPLE_MONITOR_GAIN;
    this.monitor.connect(context.destination);
  }

  /** @param {ArrayBuffer} pcm a frame off the line; it is handed over */
  play(pcm) {
    this.nodes.order({ type: "push", pcm }, [pcm]);
  }

  /** Silence at once: what waits in the buffer is thrown away. @param {number} nextSample where the stream goes on */
  clear(nextSample) {
    this.nodes.order({ type: "clear", nextSample });
  }

  /** Play out the last samples although no more will come. */
  flush() {
    this.nodes.order({ type: "flush" });
  }

  /** @param {ArrayBuffer} wav @returns {Promise<AudioBuffer>} at the card's rate */
  decode(wav) {
    return this.context.decodeAudioData(wav);
  }

  /** Says a sample into the call, and softly to the listener; a sample still being said stops. Resolves at its end. */
  async say(buffer) {
    this.hush();
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.nodes.uplink);
    source.connect(this.monitor);
    this.speaking = source;
    this.microphoneGain.gain.value = 0;
    const ended = new Promise((resolve) => {
      source.onended = resolve;
      this.release = resolve;
    });
    source.start();
    await ended;
    if (this.speaking === source) {
      this.speaking = null;
      this.microphoneGain.gain.value = 1;
    }
  }

  /** Stops the sample that is being said. */
  hush() {
    this.speaking?.stop();
  }

  /** No sound from the assistant any more, whatever still comes. */
  mute() {
    this.nodes.player.disconnect();
  }

  /** Lets go of the card and of the microphone. */
  async close() {
    this.hush();
    this.release();
    this.microphone?.getTracks().forEach((track) => track.stop());
    if (this.context.state !== "closed") await this.context.close();
  }
}

async function workletNodes(context, listener) {
  try {
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  } catch {
    throw new Trouble("server-unreachable");
  }
  const uplink = new AudioWorkletNode(context, "call-uplink", {
    channelCount: 1,
    channelCountMode: "explicit",
    outputChannelCount: [1],
  });
  const player = new AudioWorkletNode(context, "call-player", { numberOfInputs: 0, outputChannelCount: [1] });
  uplink.port.onmessage = (event) => listener.onFrame(event.data);
  player.port.onmessage = (event) => listener.onPlayer(event.data);
  return { uplink, player, order: (message, handedOver = []) => player.port.postMessage(message, handedOver) };
}

function scriptNodes(context, listener) {
  const cutter = new FrameCutter(context.sampleRate);
  const uplink = context.createScriptProcessor(SCRIPT_BLOCK, 1, 1);
  uplink.onaudioprocess = (event) => {
    for (const frame of cutter.push(event.inputBuffer.getChannelData(0))) listener.onFrame(frame.buffer);
  };
  const playing = new Player(context.sampleRate, listener.onPlayer);
  const player = context.createScriptProcessor(SCRIPT_BLOCK, 1, 1);
  player.onaudioprocess = (event) => playing.fill(event.outputBuffer.getChannelData(0));
  return { uplink, player, order: (message) => playing.obey(message) };
}
