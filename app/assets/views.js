// Compares again when a slider of the Views tab has come to rest; the first time is for the person to start.
(() => {
  "use strict";
  const PAUSE_MS = 250;
  let timer = 0;

  window.PairAlign.viewChanged = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { one } = window.PairAlign;
      if (one("#pa-views-results .pa-card")) one("#pa-views").click();
    }, PAUSE_MS);
  };
})();
