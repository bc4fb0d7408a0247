// The buttons of the model card, which is HTML: they press those that the server answers.
(() => {
  "use strict";
  const { one } = window.PairAlign;

  document.addEventListener("click", (event) => {
    const kind = event.target.closest?.(".pa-modelcard [data-card]")?.dataset.card;
    if (kind) one(`#pa-card-${kind}`)?.click();
  });
})();
