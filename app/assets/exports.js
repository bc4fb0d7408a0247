// Makes files in the page and saves them: texts that the server wrote, sound as WAV, a zip of everything.
(() => {
  "use strict";
  const { one, seconds, recording, say } = window.PairAlign;
  const MEMBERS_BIT = 0x0800; // names in a zip are UTF-8
  const text = new TextEncoder();

  // Mono 16-bit PCM of [from, to] seconds: the very samples that were tokenized.
  function wav(buffer, from, to) {
    const rate = buffer.sampleRate;
    const samples = buffer.getChannelData(0).subarray(Math.round(from * rate), Math.round(to * rate));
    const file = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const write = (at, word) => text.encode(word).forEach((byte, i) => file.setUint8(at + i, byte));
    write(0, "RIFF"); file.setUint32(4, 36 + 2 * samples.length, true); write(8, "WAVEfmt ");
    file.setUint32(16, 16, true); file.setUint16(20, 1, true); file.setUint16(22, 1, true); // PCM, one channel
    file.setUint32(24, rate, true); file.setUint32(28, 2 * rate, true); file.setUint16(32, 2, true); file.setUint16(34, 16, true);
    write(36, "data"); file.setUint32(40, 2 * samples.length, true);
    samples.forEach((x, i) => file.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(x * 32768))), true));
    return new Uint8Array(file.buffer);
  }

  const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
    return n;
  });
  function crc32(bytes) {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  }

  // Numbers of a zip header: [value, bytes], little-endian.
  function header(...fields) {
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
    let at = 0;
    for (const [value, size] of fields) {
      if (size === 4) view.setUint32(at, value, true); else view.setUint16(at, value, true);
      at += size;
    }
    return new Uint8Array(view.buffer);
  }

  // A zip whose members, [name, bytes], are stored as they are.
  function zip(members) {
    const now = new Date();
    const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
    const day = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
    const bodies = [], directory = [];
    let offset = 0;
    for (const [name, bytes] of members) {
      const label = text.encode(name);
      const facts = [[20, 2], [MEMBERS_BIT, 2], [0, 2], [time, 2], [day, 2], [crc32(bytes), 4], [bytes.length, 4],
        [bytes.length, 4], [label.length, 2], [0, 2]];
      const own = [header([0x04034b50, 4], ...facts), label, bytes];
      bodies.push(...own);
      directory.push(header([0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), label);
      offset += own.reduce((sum, part) => sum + part.length, 0);
    }
    const size = directory.reduce((sum, part) => sum + part.length, 0);
    const end = header([0x06054b50, 4], [0, 2], [0, 2], [members.length, 2], [members.length, 2], [size, 4], [offset, 4], [0, 2]);
    return [...bodies, ...directory, end];
  }

  function save(name, pieces) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(pieces));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // The selected tokens (selection.js), or all of the recording where none is selected, or `whole` is wanted.
  async function sound(stem, whole) {
    const chips = whole ? [] : window.PairAlign.selection();
    const buffer = await recording(chips[0]?.closest(".pa-lane") ?? one("#pa-results .pa-lane"));
    const spans = chips.map(seconds);
    const from = chips.length ? Math.min(...spans.map(([start]) => start)) : 0;
    const to = chips.length ? Math.max(...spans.map(([, end]) => end)) : buffer.duration;
    return [`${stem}${chips.length ? `_${from.toFixed(2)}-${to.toFixed(2)}s` : ""}.wav`, wav(buffer, from, to)];
  }

  // Saves what app/exports.py put together: {stem, sound, zipped, texts: {name: text}}.
  async function saveBundle({ stem, sound: wanted, zipped, texts }) {
    const files = Object.entries(texts).map(([name, content]) => [name, text.encode(content)]);
    try {
      if (wanted) files.push(await sound(stem, zipped));
    } catch (error) {
      return say(`Cannot save: ${error.message}`, true);
    }
    if (zipped) return save(`${stem}.zip`, zip(files));
    return files.forEach(([name, bytes]) => save(name, [bytes]));
  }

  window.PairAlign.saveBundle = saveBundle;
})();
