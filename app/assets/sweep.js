// A click on a point of the chart or on a row of the ribbon chooses the step that is listened to.
(() => {
  "use strict";
  const { one, all } = window.PairAlign;
  const slider = () => one("#pa-sweep-step input[type=range]");

  // As if a hand had moved the slider: the page sends what it finds there.
  function choose(value) {
    const range = slider();
    if (!range) return;
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    set.call(range, value);
    range.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // The row of the chosen step is marked; a long ribbon may draw only a row near it.
  function markStep() {
    const rows = all(".pa-ribbon-row");
    if (!rows.length) return;
    const chosen = Number(slider()?.value);
    const away = (row) => Math.abs(Number(row.dataset.value) - chosen);
    const nearest = rows.reduce((best, row) => (away(row) < away(best) ? row : best));
    rows.forEach((row) => {
      const button = one(".pa-step", row);
      button.setAttribute("aria-pressed", String(row === nearest));
      button.tabIndex = row === nearest ? 0 : -1;
    });
  }
  window.PairAlign.markStep = markStep;

  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#pa-sweep-step")) markStep();
  });
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.(".pa-ribbon-row");
    if (!row) return;
    choose(row.dataset.value);
    one(".pa-step", row).focus({ preventScroll: true });
  });

  const MOVES = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.(".pa-step");
    if (!button || !(event.key in MOVES)) return;
    event.preventDefault();
    const buttons = all(".pa-step", button.closest(".pa-ribbon"));
    const to = Math.max(0, Math.min(buttons.length - 1, buttons.indexOf(button) + MOVES[event.key]));
    buttons[to].focus();
  });

  document.addEventListener("pointerover", (event) => {
    const figure = event.target.closest?.("#pa-sweep-plot .js-plotly-plot");
    if (!figure?.on || figure.paStepWired) return;
    figure.paStepWired = true;
    figure.on("plotly_click", ({ points: [point] }) => {
      if (typeof point.customdata !== "number") return; // the floor is no step
      const method = all("#pa-sweep-method input").find((radio) => radio.value === point.data.meta);
      if (method && !method.checked) method.click();
      choose(point.x);
    });
  });
})();
