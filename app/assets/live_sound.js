// Sound in the browser for the Live tab: the microphone, the last seconds, numbers as text for the server.
(() => {
  "use strict";
  const HISTORY_S = 30; // as much as the server keeps

  const WORKLET = `registerProcessor("pa-capture", class extends AudioWorkletProcessor {
    constructor() { super(); this.block = new Float32Array(2048); this.filled = 0; }
    process([[samples]]) {
      if (!samples) return true;
      this.block.set(samples, this.filled);
      this.filled += samples.length;
      if (this.filled + 128 > this.block.length) { this.port.postMessage(this.block.slice(0, this.filled)); this.filled = 0; }
      return true;
    }
  });`;

  const MICROPHONE_HELP = {
    NotAllowedError: "The browser may not use the microphone. Allow it with the icon beside the page's address, then press Start again.",
    NotFoundError: "There is no microphone. Plug one in, then press Start again.",
    NotReadableError: "The microphone is in use by another program. Close that, then press Start again.",
  };

  // The browser's microphone: {rate_hz, close()}; blocks of float samples go to `take`.
  async function openBrowser(take) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers offer the microphone on https pages and on localhost only. Open this page that way.");
    }
    let media;
    try {
      // the model shall hear what a recording would hold, not what a call makes of it
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
      media = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(MICROPHONE_HELP[error.name] ?? `The microphone cannot be opened: ${error.message}`);
    }
    const context = new AudioContext();
    const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const node = new AudioWorkletNode(context, "pa-capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => take(data);
    context.createMediaStreamSource(media).connect(node);
    await context.resume();
    const close = () => { media.getTracks().forEach((track) => track.stop()); context.close(); };
    return { rate_hz: context.sampleRate, close };
  }

  function toBase64(bytes) {
    let text = "";
    for (let k = 0; k < bytes.length; k += 32768) text += String.fromCharCode(...bytes.subarray(k, k + 32768));
    return btoa(text);
  }
  const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function toInt16(blocks) {
    const samples = new Int16Array(blocks.reduce((count, block) => count + block.length, 0));
    let at = 0;
    for (const block of blocks) for (const value of block) samples[at++] = Math.max(-32768, Math.min(32767, Math.round(32767 * value)));
    return samples;
  }

  // What was heard: the last seconds, so that chips can be played without asking the server.
  class History {
    constructor(rateHz) { Object.assign(this, { rateHz, blocks: [], samples: 0, kept: 0 }); }
    push(block) {
      this.blocks.push(block);
      this.samples += block.length;
      this.kept += block.length;
      while (this.kept - this.blocks[0].length > HISTORY_S * this.rateHz) this.kept -= this.blocks.shift().length;
    }
    // Whether the span was still there; answers when it has sounded.
    play(fromS, toS) {
      const first = this.samples - this.kept;
      const sound = new Float32Array(this.kept);
      let at = 0;
      for (const block of this.blocks) { sound.set(block, at); at += block.length; }
      const start = Math.round(fromS * this.rateHz) - first;
      const part = sound.subarray(Math.max(0, start), Math.max(0, Math.round(toS * this.rateHz) - first));
      if (!part.length || start < 0) return Promise.resolve(false);
      const context = new AudioContext();
      const buffer = new AudioBuffer({ length: part.length, sampleRate: this.rateHz });
      buffer.copyToChannel(part, 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      source.start();
      return new Promise((done) => { source.onended = () => { context.close(); done(true); }; });
    }
  }

  window.PairAlign.liveSound = { HISTORY_S, History, openBrowser, toBase64, fromBase64, toInt16 };
})();
