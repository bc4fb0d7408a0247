// The tokens that are selected in the Tokenize tab: the one that was clicked or walked to last, or a range made with
// Shift. Saving (exports.js) and searching (archive.js) ask here, so that both work on what is marked.
(() => {
  "use strict";
  const { one, all, say } = window.PairAlign;
  const RESULTS = "#pa-results";
  const CHIP = `${RESULTS} .pa-chip`;
  const STRINGS = "#pa-strings .pa-chip"; // ranges are made here: the other chips stand in alignments, with gaps
  const WALK = ["ArrowLeft", "ArrowRight", "Home", "End"];
  const chipsOf = (lane) => all(".pa-chip", lane);
  const laneOf = (chip) => chip.closest(".pa-lane");

  let anchor = null; // where a range begins
  let ranged = false; // whether what is selected was made with Shift
  let extending = false; // a click or key with Shift is on its way: the focus that moves with it selects nothing itself
  const observed = new WeakSet();

  // The chips, in the order of their string.
  const selection = () => all(`${CHIP}[data-chosen]`);
  // The chips of a lane that were selected as a range.
  const rangeOf = (lane) => (ranged ? selection().filter((chip) => laneOf(chip) === lane) : []);

  function select(chips, asRange = false) {
    all(".pa-chip[data-chosen]").forEach((chip) => {
      chip.removeAttribute("data-chosen");
      chip.removeAttribute("aria-pressed");
    });
    ranged = asRange;
    chips.forEach((chip) => {
      chip.dataset.chosen = "";
      if (asRange) chip.setAttribute("aria-pressed", "true");
    });
    if (!asRange) anchor = chips[0] ?? null;
    label(chips);
    watch();
  }

  const numberOf = (chip) => chip.getAttribute("aria-label").match(/\d+/)[0];

  // The buttons say what they work on.
  function label(chips) {
    const save = one("#pa-save-wav");
    const numbers = [chips[0], chips.at(-1)].filter(Boolean).map(numberOf);
    const named = chips.length > 1 ? ` of tokens ${numbers[0]}–${numbers[1]}` : chips.length ? ` of token ${numbers[0]}` : "";
    if (save) save.textContent = `WAV${named}`;
    all("#pa-strings [data-action='find']").forEach((button) => {
      const count = rangeOf(button.closest(".pa-lane")).length;
      button.textContent = `Search archive${count ? ` for ${count}` : ""}`;
    });
  }

  // A new result, or another part of it, takes the selected tokens away.
  function watch() {
    const results = one(RESULTS);
    if (!results || observed.has(results)) return;
    observed.add(results);
    new MutationObserver(() => {
      if (anchor && !anchor.isConnected) anchor = null;
      if (one("#pa-save-wav")?.textContent.includes("token") && !selection().length) select([]);
    }).observe(results, { childList: true, subtree: true });
  }

  // From where the selection began to this chip, in one string.
  function extend(chip) {
    if (!anchor?.isConnected || laneOf(anchor) !== laneOf(chip)) anchor = chip;
    const chips = chipsOf(laneOf(chip));
    const [from, to] = [chips.indexOf(anchor), chips.indexOf(chip)].sort((a, b) => a - b);
    select(chips.slice(from, to + 1), true);
    say(`${to - from + 1} tokens selected`);
  }

  document.addEventListener("pointerdown", (event) => {
    extending = event.shiftKey && Boolean(event.target.closest?.(STRINGS));
  }, true);
  document.addEventListener("pointerup", () => { extending = false; }, true);
  document.addEventListener("focusin", (event) => {
    const chip = event.target.closest?.(CHIP);
    if (chip && !extending) select([chip]);
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(CHIP);
    if (!chip) return;
    if (event.shiftKey && chip.matches(STRINGS)) {
      event.stopImmediatePropagation(); // selecting does not play
      event.preventDefault();
      extend(chip);
    } else {
      select([chip]);
    }
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return select([]);
    const chip = event.target.closest?.(STRINGS);
    if (!chip || !event.shiftKey || !WALK.includes(event.key)) return;
    if (!selection().includes(chip)) select([chip]); // a range begins at the token in focus
    extending = true;
    setTimeout(() => { // lanes.js has moved the focus by then
      extending = false;
      const now = document.activeElement?.closest(STRINGS);
      if (now) extend(now);
    });
  }, true);

  Object.assign(window.PairAlign, { selection, rangeOf });
})();
