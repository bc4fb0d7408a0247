// Plays a column of an alignment: its stretch of A, then its stretch of B.
(() => {
  "use strict";
  const { all, seconds, play } = window.PairAlign;

  function playColumn(pair, column) {
    const [first, second] = all(`.pa-chip[data-column="${column}"]`, pair); // A before B; one of them where there is a gap
    const sound = (chip, then) => play(chip.closest(".pa-lane"), ...seconds(chip), chip, then);
    sound(first, second ? () => sound(second, null) : null);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".pa-link");
    if (link) playColumn(link.closest(".pa-pair"), link.dataset.column);
  });
  document.addEventListener("keydown", (event) => {
    const chip = event.key === "Enter" && event.shiftKey && event.target.closest?.(".pa-pair .pa-chip");
    if (!chip) return;
    event.preventDefault(); // Enter alone would also press the chip
    playColumn(chip.closest(".pa-pair"), chip.dataset.column);
  });
})();
