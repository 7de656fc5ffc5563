// PCM of one node, 20 ms at a time, with the index of its first sample on the context's clock.
"use strict";
const SAMPLES = 320;
registerProcessor("capture", class extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.sounding = processorOptions.sounding; // digital silence is not sent
    this.pcm = new Int16Array(SAMPLES);
    this.filled = 0;
    this.port.onmessage = ({ ports }) => {
      this.out = ports[0];
      this.ended = !this.out;
    };
  }

  process([[samples]]) {
    if (this.ended) return false;
    if (!this.out) return true;
    for (let at = 0; at < 128; at += 1) {
      if (this.filled === 0) this.frame = currentFrame + at;
      this.pcm[this.filled] = samples ? Math.max(-32768, Math.min(32767, Math.round(samples[at] * 32767))) : 0;
      this.filled += 1;
      if (this.filled < SAMPLES) continue;
      this.filled = 0;
      if (this.sounding && !this.pcm.some((sample) => sample)) continue;
      const { buffer } = this.pcm;
      this.pcm = new Int16Array(SAMPLES);
      this.out.postMessage({ frame: this.frame, pcm: buffer }, [buffer]);
    }
    return true;
  }
});
