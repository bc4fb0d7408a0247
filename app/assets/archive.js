// Plays hits; hands tokens of the Tokenize tab, the selected ones (selection.js) or all, to the search.
(() => {
  "use strict";
  const { one, all, play, stop } = window.PairAlign;
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

  // --- handing over -------------------------------------------------------------------------------------------------
  let handed = "";

  async function find(lane) {
    const chosen = window.PairAlign.rangeOf(lane).map((chip) => one("b", chip).textContent).join("");
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
