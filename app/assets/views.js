// Compares again when a control of the Views tab has come to rest; the first time is for the person to start.
(() => {
  "use strict";
  const PAUSE_MS = 30; // after a slider is let go of, so that its value has arrived
  const ECHO_MS = 400; // Gradio tells of the same change again, a moment later
  let timer = 0;
  let asked = 0;

  function askSoon(wait) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { one } = window.PairAlign;
      asked = performance.now();
      if (one("#pa-views-results .pa-card")) one("#pa-views").click();
    }, wait);
  }

  // presets, draws and lessons set controls by way of the server; only Gradio knows when they have arrived
  window.PairAlign.viewChanged = () => {
    if (performance.now() - asked > ECHO_MS) askSoon(PAUSE_MS);
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches?.('#pa-views-panels input[type="range"]')) askSoon(PAUSE_MS);
  });
})();
