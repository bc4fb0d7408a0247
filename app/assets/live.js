// The Live tab: the microphone's sound goes to the server by pieces, what the server answers is drawn.
// A piece is sent when the one before was answered, so nothing is lost when the server is late: pieces only get longer.
(() => {
  "use strict";
  const PIECE_S = 0.5;
  const MOST_WAITING_S = 25; // the server takes 30 s at once
  const { one, all } = window.PairAlign;
  const LOST = "The server does not answer. Check that it still runs, then press Start.";

  class Listener {
    constructor(root, server) {
      Object.assign(this, { root, server, board: new window.PairAlign.LiveBoard(root), stream: "", on: false, frozen: false });
      this.source = one("[data-live-source]", root);
    }

    async ask(name, question) {
      const answer = await this.server[name](question);
      if (!answer) throw new Error(LOST);
      if (answer.error) throw new Error(answer.error);
      return answer;
    }

    async start() {
      this.clear();
      this.show(true);
      try {
        await (this.source?.value ? this.startServer(Number(this.source.value)) : this.startBrowser());
      } catch (error) {
        this.fail(error);
      }
    }

    async startBrowser() {
      const { openBrowser, History } = window.PairAlign.liveSound;
      this.waiting = [];
      this.board.say("Waiting for the microphone …");
      const microphone = await openBrowser((block) => this.take(block));
      if (!this.on) return microphone.close(); // Stop was pressed before the browser was allowed
      this.microphone = microphone;
      this.history = new History(this.microphone.rate_hz);
      this.begin(await this.ask("open_stream", { rate_hz: this.microphone.rate_hz }));
      this.board.say("Listening. Speak.");
    }

    begin(opened) {
      this.stream = opened.stream;
      this.root.dataset.model = opened.model; // checkpoint.js
    }

    // A block from the browser's microphone.
    take(block) {
      if (!this.stream || !this.on || this.frozen) return;
      this.waiting.push(block);
      this.heardAt = performance.now();
      const waiting_s = this.waiting.reduce((count, one) => count + one.length, 0) / this.microphone.rate_hz;
      if (waiting_s > MOST_WAITING_S) return this.fail(new Error("The server is too slow to follow. Press Start to try again."));
      if (waiting_s >= PIECE_S && !this.sending) this.sending = this.send().finally(() => { this.sending = null; });
    }

    async send() {
      const { toBase64, toInt16 } = window.PairAlign.liveSound;
      const blocks = this.waiting.splice(0);
      if (!blocks.length) return;
      const heardAt = this.heardAt;
      const pcm = toInt16(blocks);
      blocks.forEach((block) => this.history.push(block));
      try {
        const answer = await this.ask("feed", { stream: this.stream, pcm: toBase64(new Uint8Array(pcm.buffer)) });
        this.board.level(blocks.at(-1), answer.hears);
        this.show(this.on);
        this.drawn(answer, heardAt);
      } catch (error) {
        this.fail(error);
      }
    }

    async startServer(index) {
      const { History } = window.PairAlign.liveSound;
      const opened = await this.ask("open_microphone", { index });
      this.begin(opened);
      this.history = new History(opened.rate_hz);
      this.board.say("Listening with the microphone of this machine. Speak.");
      this.sending = this.pollOn();
    }

    async pollOn() {
      const { fromBase64 } = window.PairAlign.liveSound;
      try {
        while (this.on) {
          const asked = performance.now();
          const answer = await this.ask("poll", { stream: this.stream, paused: this.frozen });
          const block = Float32Array.from(new Int16Array(fromBase64(answer.pcm).buffer), (value) => value / 32767);
          if (block.length) this.history.push(block);
          if (!this.frozen) this.board.level(block, answer.hears);
          this.drawn(answer, asked);
          const rest = 1000 * PIECE_S - (performance.now() - asked);
          await new Promise((done) => setTimeout(done, Math.max(0, rest)));
        }
      } catch (error) {
        this.fail(error);
      }
      this.sending = null;
    }

    drawn(answer, since) {
      this.board.draw(answer);
      this.board.latency(performance.now() - since);
      if (!answer.ended) return;
      this.off();
      this.board.say(answer.ended);
    }

    async stop() {
      this.off();
      this.board.say("Writing the last tokens …");
      try {
        await this.sending;
        if (this.waiting?.length) await this.send();
        if (this.stream) this.board.draw(await this.ask("finish", { stream: this.stream }));
        this.board.say("Stopped. All tokens are final; press one to hear it, or use the last seconds in the other tabs.");
      } catch (error) {
        this.fail(error);
      }
    }

    off() {
      this.microphone?.close();
      this.microphone = null;
      this.frozen = false;
      this.show(false);
      this.board.level(null);
    }

    fail(error) {
      this.off();
      this.board.say("Not listening.", error.message);
    }

    // While frozen nothing is heard, so the last seconds stay what they are.
    freeze(frozen) {
      this.frozen = frozen;
      this.show(this.on);
      this.board.say(frozen ? "Frozen: nothing is heard until you press Go on." : "Listening. Speak.");
    }

    clear() {
      if (this.stream) this.server.close({ stream: this.stream });
      this.off();
      Object.assign(this, { stream: "", history: null, waiting: [] });
      this.board.clear();
      this.root.removeAttribute("data-model");
      this.board.say("Press Start and speak.");
      this.show(false);
    }

    show(on) {
      this.on = on;
      const [start, freeze, clear] = ["start", "freeze", "clear"].map((name) => one(`[data-live="${name}"]`, this.root));
      start.textContent = on ? "Stop" : "Start";
      this.root.dataset.listening = on ? (this.frozen ? "frozen" : "on") : "off";
      freeze.disabled = !on;
      freeze.textContent = this.frozen ? "Go on" : "Freeze";
      freeze.setAttribute("aria-pressed", String(this.frozen));
      clear.disabled = !on && !this.stream;
      if (this.source) this.source.disabled = on;
    }

    async play(chip) {
      if (this.on && !this.frozen) this.freeze(true); // or it would be heard again
      const { start, end } = chip.dataset;
      chip.dataset.playing = "";
      const played = await this.history?.play(Number(start), Number(end));
      chip.removeAttribute("data-playing");
      if (played) chip.dataset.played = ""; // for tests
    }
  }

  let listener = null; // the page has one Live tab
  window.PairAlign.liveStream = () => listener?.stream ?? "";
  window.PairAlign.live = (element, server) => { listener = new Listener(one(".pa-live", element), server); };

  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(".pa-live-chip");
    if (chip) {
      rove(chip);
      return listener.play(chip);
    }
    const action = event.target.closest?.("[data-live]")?.dataset.live;
    if (action === "start") listener.on ? listener.stop() : listener.start();
    else if (action === "freeze") listener.freeze(!listener.frozen);
    else if (action === "clear") listener.clear();
  });

  // One Tab stop for all chips; the keys move among them.
  const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  function rove(chip) {
    all('.pa-live-chip[tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
    chip.tabIndex = 0;
    chip.focus({ preventScroll: true });
  }
  document.addEventListener("keydown", (event) => {
    const chip = event.target.closest?.(".pa-live-chip");
    if (!chip || !(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const chips = all(".pa-live-chip");
    const to = chips[Math.max(0, Math.min(chips.length - 1, chips.indexOf(chip) + STEPS[event.key]))];
    rove(to);
    to.scrollIntoView({ block: "nearest" });
  });
})();
