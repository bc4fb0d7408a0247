// Plays hits; selects tokens in the Tokenize tab and hands them to the search.
(() => {
  "use strict";
  const { one, all, play, stop, say } = window.PairAlign;
  const STRINGS = "#pa-strings .pa-chip";
  const WAIT_MS = 15000;

  // a hit, its surroundings, the query: the same button stops again
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-play]");
    if (!button) return;
    const lane = button.closest(".pa-lane");
    if (button.hasAttribute("data-sounding")) return stop();
    const [from, to] = button.dataset.play.split(" ").map(Number);
    play(lane, from, to).then(() => mark(button, lane));
  });

  function mark(button, lane) {
    if (!lane.dataset.playing) return;
    button.dataset.sounding = "";
    const watch = new MutationObserver(() => {
      if (lane.dataset.playing) return;
      button.removeAttribute("data-sounding");
      watch.disconnect();
    });
    watch.observe(lane, { attributes: true, attributeFilter: ["data-playing"] });
  }

  // --- tokens selected in the Tokenize tab --------------------------------------------------------------------------
  const chipsOf = (lane) => all(".pa-chip", lane);
  const chosenOf = (lane) => all(".pa-chip[data-chosen]", lane);

  function clear() {
    all(".pa-chip[data-chosen]").forEach((chip) => {
      chip.removeAttribute("data-chosen");
      chip.removeAttribute("aria-pressed");
    });
    all("#pa-strings [data-action='find']").forEach((button) => { button.textContent = "Search archive"; });
  }

  // From where the selection began to this chip.
  function extend(chip) {
    const lane = chip.closest(".pa-lane");
    const chips = chipsOf(lane);
    const at = chips.indexOf(chip);
    const from = Math.max(0, Math.min(Number(lane.dataset.anchor ?? at), chips.length - 1));
    clear();
    const chosen = chips.slice(Math.min(from, at), Math.max(from, at) + 1);
    chosen.forEach((one_) => { one_.dataset.chosen = ""; one_.setAttribute("aria-pressed", "true"); });
    one("[data-action='find']", lane).textContent = `Search archive for ${chosen.length}`;
    say(`${chosen.length} tokens selected`);
  }

  function anchor(chip) {
    const lane = chip.closest(".pa-lane");
    lane.dataset.anchor = chipsOf(lane).indexOf(chip);
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.(STRINGS);
    if (!chip) return;
    if (event.shiftKey) {
      event.stopImmediatePropagation(); // selecting does not play
      event.preventDefault();
      extend(chip);
    } else {
      clear();
      anchor(chip);
    }
  }, true);

  document.addEventListener("keydown", (event) => {
    const chip = event.target.closest?.(STRINGS);
    if (!chip || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    if (event.shiftKey && !chosenOf(chip.closest(".pa-lane")).length) anchor(chip);
    if (!event.shiftKey) clear();
    else setTimeout(() => { // lanes.js has moved on by then
      const now = document.activeElement?.closest(STRINGS);
      if (now) extend(now);
    });
  });

  // --- handing over -------------------------------------------------------------------------------------------------
  let handed = "";

  async function find(lane) {
    const chosen = chosenOf(lane).map((chip) => one("b", chip).textContent).join("");
    handed = `${lane.dataset.method} ${chosen || lane.dataset.text}`;
    // where there is no room for the tab, it waits in the menu of the others
    all('#pa-tabs :is(button[role="tab"], .overflow-dropdown button)')
      .find((tab) => tab.textContent.trim() === "Archive")?.click();
    const end = performance.now() + WAIT_MS; // a tab is put on the page when it is first opened
    while (!one("#pa-archive-take") && performance.now() < end) await new Promise((done) => setTimeout(done, 50));
    one("#pa-archive-take")?.click();
  }

  Object.assign(window.PairAlign, { find, handed: () => handed });
})();
