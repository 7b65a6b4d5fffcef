/** The two audio-thread nodes of a call: `call-uplink` cuts frames for the line, `call-player` plays the line. */

import { FrameCutter, Player } from "./dsp.js";

class CallUplink extends AudioWorkletProcessor {
  constructor() {
    super();
    this.cutter = new FrameCutter(sampleRate);
    this.silence = new Float32Array(128);
  }

  process(inputs) {
    for (const frame of this.cutter.push(inputs[0][0] ?? this.silence)) {
      this.port.postMessage(frame.buffer, [frame.buffer]);
    }
    return true;
  }
}

class CallPlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.player = new Player(sampleRate, (message) => this.port.postMessage(message));
    this.port.onmessage = (event) => this.player.obey(event.data);
  }

  process(inputs, outputs) {
    this.player.fill(outputs[0][0]);
    return true;
  }
}

registerProcessor("call-uplink", CallUplink);
registerProcessor("call-player", CallPlayer);
