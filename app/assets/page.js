// Plays token spans and whole strings, copies them, shows the sounding moment in the figure; lanes.js does the rest.
// Everything is delegated from the document, because Gradio replaces the elements with every result.
(() => {
  "use strict";
  const RATE_HZ = 16000; // the recording is served at this rate: no second resampling in the browser
  const FADE_S = 0.004; // a cut inside a wave would click
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const seconds = (chip) => [Number(chip.dataset.start), Number(chip.dataset.end)];
  // a lane of chips names the player that holds its sound and the plots that show it
  const player = (lane) => one(`#${lane.dataset.sound} audio`);
  const plotsOf = (lane) =>
    (lane.dataset.figure ?? "").split(" ").map((id) => id && one(`#${id} .js-plotly-plot`)).filter(Boolean);
  const plotOf = (lane) => plotsOf(lane)[0];

  let context = null;
  const buffers = new Map(); // url of a player's sound -> decoded
  const KEPT = 8;
  let playing = null; // {source, lane, from, to, since, chip}
  let paused = null; // {lane, at}: where the sound of a whole string was interrupted

  async function recording(lane) {
    const url = player(lane)?.currentSrc || player(lane)?.src;
    if (!url) throw new Error("there is no recording to play");
    context ??= new AudioContext({ sampleRate: RATE_HZ });
    if (context.state === "suspended") await context.resume();
    if (!buffers.has(url)) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error("the recording is no longer on the server; start again");
      buffers.set(url, await context.decodeAudioData(await answer.arrayBuffer()));
      if (buffers.size > KEPT) buffers.delete(buffers.keys().next().value);
    }
    return buffers.get(url);
  }

  function stop() {
    if (!playing) return;
    const { source, lane } = playing;
    playing = null;
    source.onended = null;
    try { source.stop(); } catch { /* it had ended by itself */ }
    lane.removeAttribute("data-playing");
    name(lane, "▶ Play all");
    unmark();
  }

  const name = (lane, text) => { const button = one('[data-action="play"]', lane); if (button) button.textContent = text; };

  function unmark() {
    all(".pa-chip[data-playing]").forEach((chip) => chip.removeAttribute("data-playing"));
    all(".pa-head").forEach((line) => line.remove());
  }

  // Play [from, to]; a single chip stays lit, "play all" lights the chip that sounds; then() follows the end.
  async function play(lane, from, to, chip = null, then = null) {
    stop();
    all(".pa-player audio").forEach((other) => other.pause());
    let buffer;
    try {
      buffer = await recording(lane);
    } catch (error) {
      return say(`Cannot play: ${error.message}`, true);
    }
    stop(); // another chip may have been pressed while the recording was loading
    paused = null;
    const begins = Number(lane.dataset.begins ?? 0); // the sound may be a clip: where it begins, in the strings' time
    from = Math.max(begins, Math.min(from, begins + buffer.duration));
    to = Math.max(from, Math.min(to, begins + buffer.duration));
    const source = new AudioBufferSourceNode(context, { buffer });
    const gain = new GainNode(context, { gain: 0 });
    const begun = context.currentTime;
    gain.gain.setValueAtTime(0, begun);
    gain.gain.linearRampToValueAtTime(1, begun + FADE_S);
    gain.gain.setValueAtTime(1, begun + Math.max(to - from - FADE_S, FADE_S));
    gain.gain.linearRampToValueAtTime(0, begun + (to - from) + FADE_S);
    source.connect(gain).connect(context.destination);
    source.onended = () => { stop(); then?.(); };
    playing = { source, lane, from, to, since: begun, chip };
    lane.dataset.playing = chip ? "chip" : "all";
    if (!chip) name(lane, "❚❚ Pause");
    lane.dataset.played = `${from.toFixed(3)}-${to.toFixed(3)}`; // what was played last, for tests and for styles
    if (chip) chip.dataset.playing = "";
    source.start(begun, from - begins, to - from + FADE_S);
    requestAnimationFrame(tick);
  }

  // Play a whole string, pause it, go on where it was paused.
  function toggle(lane) {
    if (playing?.lane === lane && !playing.chip) {
      const at = now();
      stop();
      paused = { lane, at };
    } else {
      play(lane, paused?.lane === lane ? paused.at : 0, Number.MAX_VALUE);
    }
  }

  const now = () => Math.min(playing.from + context.currentTime - playing.since, playing.to);

  function tick() {
    if (!playing) return;
    const at = now();
    plotsOf(playing.lane).forEach((figure) => overlay(figure, "pa-head", at));
    if (!playing.chip) light(playing.lane, at);
    requestAnimationFrame(tick);
  }

  function light(lane, at) {
    const before = one(".pa-chip[data-playing]", lane);
    if (before && seconds(before)[0] <= at && at < seconds(before)[1]) return;
    before?.removeAttribute("data-playing");
    const chip = all(".pa-chip", lane).find((item) => seconds(item)[0] <= at && at < seconds(item)[1]);
    if (chip) chip.dataset.playing = "";
  }

  // A line at one moment, or a band over a span, across all rows of the figure.
  function overlay(figure, name, from, to = from) {
    const axis = figure?._fullLayout?.xaxis;
    if (!axis) return;
    let mark = one(`.${name}`, figure);
    if (!mark) {
      mark = document.createElement("div");
      mark.className = name;
      figure.append(mark);
    }
    const left = Math.max(axis.l2p(from), 0);
    const right = Math.min(axis.l2p(to), axis._length);
    mark.hidden = right < 0 || left > axis._length;
    mark.style.left = `${axis._offset + left}px`;
    mark.style.width = `${Math.max(right - left, 2)}px`;
  }

  // In the status of what is on the screen: every tab has its own. A problem is shown, other words are for ears only.
  function say(text, problem = false) {
    all("[data-status]").filter((status) => status.offsetParent).forEach((status) => {
      status.textContent = text;
      status.classList.toggle("pa-sr", !problem);
    });
  }

  async function copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no clipboard permission, or not a secure origin
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const label = button.textContent;
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => { button.textContent = label; }, 1200);
  }

  function act(button) {
    const lane = button.closest(".pa-lane");
    if (button.dataset.action === "copy-text") return copy(button, lane.dataset.text);
    if (button.dataset.action === "copy-ids") return copy(button, lane.dataset.ids);
    if (button.dataset.action === "find") return window.PairAlign.find(lane); // archive.js
    return toggle(lane);
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(".pa-chip");
    if (chip) return play(chip.closest(".pa-lane"), ...seconds(chip), chip);
    const button = event.target.closest?.(".pa-actions button");
    if (button) act(button);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      stop();
      paused = null;
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      all(".pa-start").find((button) => button.offsetParent)?.click(); // the one of the open tab
    }
  });

  // The ordinary players move the same line. Media events do not bubble, capturing sees them.
  document.addEventListener("play", (event) => {
    const sound = event.target;
    const id = sound.closest?.(".pa-player")?.id;
    if (!id) return;
    stop();
    const lanes = all(`.pa-lane[data-sound="${id}"]`);
    const follow = () => {
      if (sound.paused || !sound.isConnected) return unmark();
      new Set(lanes.flatMap(plotsOf)).forEach((figure) => overlay(figure, "pa-head", sound.currentTime));
      lanes.forEach((lane) => light(lane, sound.currentTime));
      requestAnimationFrame(follow);
    };
    follow();
  }, true);

  window.PairAlign = { one, all, seconds, play, stop, toggle, recording, overlay, plotOf, plotsOf, say }; // for the scripts of single tabs
})();
