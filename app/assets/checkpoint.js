// Another checkpoint was loaded: results of the old one are marked and set aside until their tab runs again.
(() => {
  "use strict";
  const { all } = window.PairAlign;

  let loaded = null; // sha256 of the weights that results were made with

  function checkpointIs(sha) {
    const changed = loaded !== null && sha && sha !== loaded;
    loaded = sha || loaded;
    if (!changed) return;
    for (const results of all(".pa-results")) {
      results.toggleAttribute("data-stale", true);
      results.inert = true; // what would be computed from an old result with the new model means nothing
    }
  }

  // a run, or a setting that starts one, brings new results
  function runs(event) {
    const tab = event.target.closest?.(".pa-tab");
    if (!tab || (event.type === "click" && !event.target.closest("button"))) return;
    for (const results of all(".pa-results[data-stale]", tab)) {
      results.removeAttribute("data-stale");
      results.inert = false;
    }
  }
  for (const type of ["click", "input", "change"]) document.addEventListener(type, runs, true);
  Object.assign(window.PairAlign, { checkpointIs });
})();
