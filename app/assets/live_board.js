// Draws a stream in the Live tab: a scrolling log-mel over boxes of tokens, chips, meters.
(() => {
  "use strict";
  const SHOWN_S = [2.5, 8]; // least and most that the picture shows
  const PX_PER_S = 190; // room for the glyphs of some ten tokens
  const TILE_S = 5; // the picture scrolls as a row of canvases
  const COLUMNS_PER_S = 100;
  const BANDS = 80;
  const SAME_S = 0.15; // a tentative token may move by so much and still be the same one
  const RATE_OVER_S = 5;
  const { one, all } = window.PairAlign;

  // Viridis, as in the other figures.
  const STOPS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]
    .map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const COLOURS = Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (STOPS.length - 1);
    const low = Math.min(Math.floor(place), STOPS.length - 2);
    return STOPS[low].map((colour, k) => colour + (place - low) * (STOPS[low + 1][k] - colour));
  });

  // Everything that shows a stream. A token is {row, chip, box}; row: [id, glyph, start s, end s, revised].
  class Board {
    constructor(root) {
      this.root = root;
      this.part = (name) => one(`[data-live-${name}]`, root);
      this.empty = this.part("chips").innerHTML;
      this.clear();
    }

    clear() {
      const width = this.part("picture").clientWidth || 1200;
      this.shown_s = Math.min(Math.max(width / PX_PER_S, SHOWN_S[0]), SHOWN_S[1]);
      this.final = [];
      this.tentative = [];
      this.tiles = new Map();
      this.ticked = -1;
      this.count = 0;
      this.waits = [];
      this.part("chips").innerHTML = this.empty;
      this.part("strip").replaceChildren();
      this.part("strip").style.transform = "";
      all("[data-meter]", this.root).forEach((cell) => { cell.textContent = "–"; });
      this.level(null);
    }

    percent(s) { return `${(100 * s) / this.shown_s}%`; }

    say(text, error = "") {
      this.part("status").textContent = text;
      this.part("error").textContent = error;
      this.part("error").hidden = !error;
    }

    level(block, hears) {
      const sum = (block ?? []).reduce((total, value) => total + value * value, 0);
      this.part("level").value = block?.length ? 10 * Math.log10(sum / block.length + 1e-6) : -60;
      this.part("hears").textContent = block === null ? "off" : hears ? "sound" : "silence";
    }

    draw(answer) {
      if (answer.mel.values) this.paint(answer.mel.first, window.PairAlign.liveSound.fromBase64(answer.mel.values));
      this.place(answer.committed, answer.tentative);
      this.scroll(answer.now_s);
      this.count += answer.committed.length;
      const recent = [...this.final, ...this.tentative].filter(({ row }) => row[2] > answer.now_s - RATE_OVER_S);
      this.meter("rate", (recent.length / Math.max(1, Math.min(RATE_OVER_S, answer.now_s))).toFixed(1));
      this.meter("revised", `${Math.round(100 * answer.revision_rate)} %`);
      this.meter("count", this.count.toLocaleString("en"));
    }

    meter(name, text) { one(`[data-meter="${name}"]`, this.root).textContent = text; }

    latency(ms) {
      this.waits = [...this.waits.slice(-39), ms];
      this.meter("latency", Math.round([...this.waits].sort((a, b) => a - b)[this.waits.length >> 1]));
    }

    // Final tokens stay as they are; a tentative one that says the same at the same time keeps its chip.
    place(committed, tentative) {
      const before = this.tentative;
      const chips = this.part("chips");
      if (committed.length + tentative.length) one("p", chips)?.remove();
      const follow = chips.scrollHeight - chips.scrollTop - chips.clientHeight < 40;
      const reuse = (row) => {
        const at = before.findIndex((token) => token.row[0] === row[0] && Math.abs(token.row[2] - row[2]) < SAME_S);
        return at < 0 ? this.made(row) : Object.assign(before.splice(at, 1)[0], { row });
      };
      const final = committed.map(reuse);
      this.tentative = tentative.map(reuse);
      before.forEach(({ chip, box }) => { chip.remove(); box.remove(); });
      final.forEach((token) => this.dress(token, true));
      this.tentative.forEach((token) => this.dress(token, false));
      let at = this.final.length;
      this.final.push(...final);
      for (const { chip, box } of [...final, ...this.tentative]) {
        // what stands in its place is not touched: moving it would fade it in again
        if (chips.children[at] !== chip) chips.insertBefore(chip, chips.children[at] ?? null);
        if (!box.isConnected) this.part("strip").append(box);
        at++;
      }
      chips.dataset.ids = this.final.map(({ row }) => row[0]).join(" ");
      if (follow && !chips.contains(document.activeElement)) chips.scrollTop = chips.scrollHeight;
    }

    made(row) {
      const chip = Object.assign(document.createElement("button"), { type: "button", className: "pa-live-chip", tabIndex: -1 });
      const box = Object.assign(document.createElement("span"), { className: "pa-live-box" });
      chip.append(...["b", "i", "small"].map((name) => document.createElement(name)));
      for (const part of [chip, box]) part.dataset.fresh = row[4] ? "revised" : "new";
      return { row, chip, box };
    }

    dress({ row: [id, glyph, start, end], chip, box }, final) {
      const time = `${start.toFixed(2)}–${end.toFixed(2)}`;
      for (const part of [chip, box]) {
        part.style.setProperty("--h", (id * 137.508) % 360); // colours.py
        if (final) part.dataset.final = "";
      }
      Object.assign(chip.dataset, { id, start, end });
      [glyph, id, time].forEach((text, k) => { chip.children[k].textContent = text; });
      chip.title = `token ${id}, ${time} s, ${final ? "final" : "tentative"}`;
      chip.setAttribute("aria-label", chip.title);
      box.textContent = glyph;
      box.style.left = this.percent(start);
      box.style.width = this.percent(end - start);
    }

    paint(first, values) {
      for (let k = 0; k < values.length / BANDS; k++) {
        const column = first + k;
        const image = new ImageData(1, BANDS);
        for (let band = 0; band < BANDS; band++) {
          image.data.set([...COLOURS[values[k * BANDS + band]], 255], 4 * (BANDS - 1 - band));
        }
        this.tile(Math.floor(column / COLUMNS_PER_S / TILE_S)).putImageData(image, column % (COLUMNS_PER_S * TILE_S), 0);
      }
    }

    tile(index) {
      if (!this.tiles.has(index)) {
        const canvas = Object.assign(document.createElement("canvas"), { width: TILE_S * COLUMNS_PER_S, height: BANDS });
        Object.assign(canvas.style, { left: this.percent(index * TILE_S), width: `calc(${this.percent(TILE_S)} + 1px)` });
        this.part("strip").prepend(canvas);
        this.tiles.set(index, canvas.getContext("2d"));
      }
      return this.tiles.get(index);
    }

    // Moves the picture on, names the seconds, and drops what has left it.
    scroll(nowS) {
      const strip = this.part("strip");
      strip.style.transform = `translateX(-${this.percent(Math.max(0, nowS - this.shown_s))})`;
      for (; this.ticked < nowS; ) {
        const tick = Object.assign(document.createElement("small"), { textContent: `${++this.ticked} s` });
        tick.style.left = this.percent(this.ticked);
        strip.append(tick);
      }
      const gone = nowS - this.shown_s - TILE_S;
      all("small", strip).forEach((tick) => { if (parseFloat(tick.textContent) < gone) tick.remove(); });
      this.tiles.forEach((context, index) => {
        if ((index + 1) * TILE_S < gone) { context.canvas.remove(); this.tiles.delete(index); }
      });
      this.final.forEach(({ row, box }) => { if (row[3] < gone) box.remove(); });
      while (this.final.length && this.final[0].row[3] < nowS - window.PairAlign.liveSound.HISTORY_S) this.final.shift().chip.remove();
      const stop = one('.pa-live-chip[tabindex="0"]', this.root) ?? one(".pa-live-chip", this.root);
      if (stop) stop.tabIndex = 0;
    }
  }

  window.PairAlign.LiveBoard = Board;
})();
