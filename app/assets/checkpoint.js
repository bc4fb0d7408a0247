// The page uses another checkpoint: results of other models are marked and set aside while it does.
(() => {
  "use strict";
  const { one, all } = window.PairAlign;
  const PAUSE_MS = 100; // a result arrives by parts, and Live changes the page all the time

  let loaded = ""; // sha256 of the weights that this page uses

  function checkpointIs(sha) {
    loaded = sha || loaded;
    compare();
  }

  // every result says in itself which model made it
  function compare() {
    for (const results of all(".pa-results")) {
      const made = all("[data-model]", results).map((mark) => mark.dataset.model).filter(Boolean);
      const stale = Boolean(loaded) && made.some((sha) => sha !== loaded);
      if (results.hasAttribute("data-stale") === stale) continue;
      results.toggleAttribute("data-stale", stale);
      // what would be computed from an old result with the new model means nothing; Live's own buttons start anew
      results.inert = stale && !one("[data-live]", results);
    }
  }

  let waiting = null;
  const later = () => { waiting ??= setTimeout(() => { waiting = null; compare(); }, PAUSE_MS); };
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(later).observe(document.body, { childList: true, subtree: true });
  });
  Object.assign(window.PairAlign, { checkpointIs });
})();
