// Walks the chips of token strings with the keyboard and links them: a token in hand is marked in the figures, in the
// other strings, and told about in one place.
(() => {
  "use strict";
  const { one, all, seconds, toggle, overlay, plotsOf } = window.PairAlign;
  const laneOf = (chip) => chip.closest(".pa-lane");
  const groupOf = (chip) => chip.closest(".pa-strings, .pa-pair");

  // Lanes of one recording, from top to bottom: only their times mean the same.
  function siblings(chip) {
    const group = groupOf(chip);
    return group ? all(".pa-lane", group).filter((lane) => lane.dataset.sound === laneOf(chip).dataset.sound) : [];
  }

  function overlapping(chip, lane) {
    const [start, end] = seconds(chip);
    return all(".pa-chip", lane).filter((other) => seconds(other)[0] < end && start < seconds(other)[1]);
  }

  // The chip of the lane above or below (step -1, 1) that shares most time with this one.
  function across(chip, step) {
    const lanes = siblings(chip);
    const lane = lanes[lanes.indexOf(laneOf(chip)) + step];
    if (!lane) return chip;
    const [start, end] = seconds(chip);
    const shared = (other) => Math.min(seconds(other)[1], end) - Math.max(seconds(other)[0], start);
    return overlapping(chip, lane).reduce((best, other) => (best && shared(best) >= shared(other) ? best : other), null) ?? chip;
  }

  // One Tab stop per lane; the keys move inside it and between lanes.
  function rove(chip) {
    all('.pa-chip[tabindex="0"]', laneOf(chip)).forEach((other) => { other.tabIndex = -1; });
    chip.tabIndex = 0;
    chip.focus({ preventScroll: true });
  }

  const ALONG = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  const ACROSS = { ArrowDown: 1, ArrowUp: -1 };
  document.addEventListener("keydown", (event) => {
    const chip = event.target.closest?.(".pa-chip");
    if (!chip || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") {
      event.preventDefault(); // it would press the chip and scroll the page
      if (!event.repeat) toggle(laneOf(chip));
      return;
    }
    let to = null;
    if (event.key in ALONG) {
      const chips = all(".pa-chip", laneOf(chip));
      to = chips[Math.max(0, Math.min(chips.length - 1, chips.indexOf(chip) + ALONG[event.key]))];
    } else if (event.key in ACROSS) {
      to = across(chip, ACROSS[event.key]);
    }
    if (!to) return;
    event.preventDefault();
    rove(to);
    to.scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target.closest?.(".pa-chip")) event.preventDefault(); // Firefox presses here
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(".pa-chip");
    if (chip) rove(chip);
  });

  // The token under the pointer or in focus. Without one, its marks go, but what was told stays readable.
  let held = null;
  function hold(event) {
    const figure = event.target.closest?.(".pa-plot .js-plotly-plot");
    if (figure?.on && !figure.paWired) wire(figure);
    const chip = event.target.closest?.(".pa-chip");
    if (!chip && figure) return; // figures tell what they point at themselves, below
    // a page that scrolls under a resting pointer must not hide the focused chip's span
    show(chip ?? document.activeElement?.closest(".pa-chip") ?? null);
  }
  document.addEventListener("pointerover", hold);
  document.addEventListener("focusin", hold);

  function show(chip) {
    if (chip === held && (chip === null || one(".pa-band"))) return;
    held = chip;
    all(".pa-band").forEach((band) => band.remove());
    all(".pa-chip[data-linked]").forEach((other) => other.removeAttribute("data-linked"));
    if (!chip) return;
    const lane = laneOf(chip);
    plotsOf(lane).forEach((figure) => overlay(figure, "pa-band", ...seconds(chip)));
    siblings(chip).filter((other) => other !== lane)
      .forEach((other) => overlapping(chip, other).forEach((mate) => { mate.dataset.linked = ""; }));
    const readout = groupOf(chip) && one("[data-readout]", groupOf(chip));
    if (readout) readout.textContent = `${one("h3", lane).textContent} · ${one("b", chip).textContent} · ${chip.title}`;
  }

  // A token in a figure marks its chip and plays it.
  function wire(figure) {
    figure.paWired = true;
    const id = figure.closest(".pa-plot").id;
    const tokenOf = ({ points: [point] }) => {
      const method = String(point.data.meta ?? "");
      const lane = one(`.pa-lane[data-figure~="${id}"][data-method="${CSS.escape(method)}"]`);
      const index = point.customdata ? point.customdata[0] - 1 : point.pointNumber;
      return { method, lane, index };
    };
    const chipOf = (event) => {
      const { lane, index } = tokenOf(event);
      return lane && all(".pa-chip", lane)[index - Number(lane.dataset.first ?? 0)];
    };
    const unmark = () => all(".pa-chip[data-hover]").forEach((chip) => chip.removeAttribute("data-hover"));
    figure.on("plotly_click", (event) => {
      const chip = chipOf(event);
      if (chip) return chip.click();
      const { lane, method, index } = tokenOf(event);
      window.PairAlign.playToken(lane, method, index); // zoom.js: a token of another part
    });
    figure.on("plotly_hover", (event) => {
      unmark();
      const chip = chipOf(event);
      if (!chip) return;
      chip.dataset.hover = "";
      show(chip);
    });
    figure.on("plotly_unhover", () => { unmark(); show(null); });
  }
})();
