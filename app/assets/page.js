// Plays token spans, walks chips with the keyboard, copies strings, shows the sounding moment in the figure.
// Everything is delegated from the document, because Gradio replaces the elements with every result.
(() => {
  "use strict";
  const RATE_HZ = 16000; // the recording is served at this rate: no second resampling in the browser
  const FADE_S = 0.004; // a cut inside a wave would click
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const seconds = (chip) => [Number(chip.dataset.start), Number(chip.dataset.end)];
  // a lane of chips names the player that holds its sound and the plot that shows it
  const player = (lane) => one(`#${lane.dataset.sound} audio`);
  const plotOf = (lane) => lane.dataset.figure && one(`#${lane.dataset.figure} .js-plotly-plot`);

  let context = null;
  const buffers = new Map(); // url of a player's sound -> decoded
  const KEPT = 8;
  let playing = null; // {source, lane, from, to, since, chip}

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
    unmark();
  }

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
      return say(`Cannot play: ${error.message}`);
    }
    stop(); // another chip may have been pressed while the recording was loading
    from = Math.max(0, Math.min(from, buffer.duration));
    to = Math.max(from, Math.min(to, buffer.duration));
    const source = new AudioBufferSourceNode(context, { buffer });
    const gain = new GainNode(context, { gain: 0 });
    const now = context.currentTime;
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE_S);
    gain.gain.setValueAtTime(1, now + Math.max(to - from - FADE_S, FADE_S));
    gain.gain.linearRampToValueAtTime(0, now + (to - from) + FADE_S);
    source.connect(gain).connect(context.destination);
    source.onended = () => { stop(); then?.(); };
    playing = { source, lane, from, to, since: now, chip };
    lane.dataset.playing = chip ? "chip" : "all";
    lane.dataset.played = `${from.toFixed(3)}-${to.toFixed(3)}`; // what was played last, for tests and for styles
    if (chip) chip.dataset.playing = "";
    source.start(now, from, to - from + FADE_S);
    requestAnimationFrame(tick);
  }

  function tick() {
    if (!playing) return;
    const at = Math.min(playing.from + context.currentTime - playing.since, playing.to);
    overlay(plotOf(playing.lane), "pa-head", at);
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

  const say = (text) => { const status = one("[data-status]"); if (status) status.textContent = text; };

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
    if (playing?.lane === lane && !playing.chip) return stop();
    return play(lane, 0, Number.MAX_VALUE);
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(".pa-chip");
    if (chip) {
      rove(chip);
      return play(chip.closest(".pa-lane"), ...seconds(chip), chip);
    }
    const button = event.target.closest?.(".pa-actions button");
    if (button) act(button);
  });

  // One Tab stop per lane; the arrow keys move inside it.
  function rove(chip) {
    all('.pa-chip[tabindex="0"]', chip.parentElement).forEach((other) => { other.tabIndex = -1; });
    chip.tabIndex = 0;
    chip.focus({ preventScroll: true });
  }

  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  document.addEventListener("keydown", (event) => {
    const chip = event.target.closest?.(".pa-chip");
    if (chip && event.key in STEPS) {
      const chips = all(".pa-chip", chip.parentElement);
      const to = Math.max(0, Math.min(chips.length - 1, chips.indexOf(chip) + STEPS[event.key]));
      event.preventDefault();
      rove(chips[to]);
      chips[to].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Escape") {
      stop();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      all(".pa-start").find((button) => button.offsetParent)?.click(); // the one of the open tab
    }
  });

  // Linked view: a chip under the pointer or focus shades its span in the figure, a token there marks its chip.
  const shade = (event) => {
    // a page that scrolls under a resting pointer must not hide the focused chip's span
    const chip = event.target.closest?.(".pa-chip") ?? document.activeElement?.closest(".pa-chip");
    all(".pa-band").forEach((band) => band.remove());
    if (chip) overlay(plotOf(chip.closest(".pa-lane")), "pa-band", ...seconds(chip));
    const figure = event.target.closest?.(".pa-plot .js-plotly-plot");
    if (figure?.on && !figure.paWired) wire(figure);
  };
  document.addEventListener("pointerover", shade);
  document.addEventListener("focusin", shade);

  function wire(figure) {
    figure.paWired = true;
    const id = figure.closest(".pa-plot").id;
    const chipOf = ({ points: [point] }) => {
      const lane = one(`.pa-lane[data-figure="${id}"][data-method="${CSS.escape(String(point.data.meta ?? ""))}"]`);
      return lane && all(".pa-chip", lane)[point.customdata ? point.customdata[0] - 1 : point.pointNumber];
    };
    figure.on("plotly_click", (event) => chipOf(event)?.click());
    figure.on("plotly_hover", (event) => {
      all(".pa-chip[data-hover]").forEach((chip) => chip.removeAttribute("data-hover"));
      chipOf(event)?.setAttribute("data-hover", "");
    });
    figure.on("plotly_unhover", () => all(".pa-chip[data-hover]").forEach((chip) => chip.removeAttribute("data-hover")));
  }

  // The ordinary players move the same line. Media events do not bubble, capturing sees them.
  document.addEventListener("play", (event) => {
    const sound = event.target;
    const id = sound.closest?.(".pa-player")?.id;
    if (!id) return;
    stop();
    const lanes = all(`.pa-lane[data-sound="${id}"]`);
    const follow = () => {
      if (sound.paused || !sound.isConnected) return unmark();
      lanes.slice(0, 1).forEach((lane) => overlay(plotOf(lane), "pa-head", sound.currentTime));
      lanes.forEach((lane) => light(lane, sound.currentTime));
      requestAnimationFrame(follow);
    };
    follow();
  }, true);

  window.PairAlign = { one, all, seconds, play, stop, overlay, plotOf, say }; // for the scripts of single tabs
})();
