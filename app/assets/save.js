// Files for downloading are made in the page, from what is already there: nothing is written on the server.
(() => {
  "use strict";
  function save(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // One JSON document, named after the recording it is about.
  function saveDocument(doc, ending) {
    if (doc) save(doc.file.replace(/\.[^.]*$/, "") + ending, "application/json", JSON.stringify(doc, null, 1));
  }

  // A line per measure, a column per method; empty where nothing was measured.
  function saveScores(doc) {
    if (!doc) return;
    const names = Object.keys(doc.methods);
    const measures = Object.keys(doc.methods[names[0]]);
    const lines = measures.map((measure) => [measure, ...names.map((name) => doc.methods[name][measure] ?? "")]);
    const text = [["measure", ...names], ...lines].map((line) => line.join(",") + "\r\n").join("");
    save("pairalign-compare.csv", "text/csv", text);
  }

  Object.assign(window.PairAlign, { saveDocument, saveScores });
})();
