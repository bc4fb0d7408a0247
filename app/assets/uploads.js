// Browsers call the sound in a WebM or MP4 "video" and have no name for other kinds, and Gradio's players take only what is
// called audio. Files with a suffix that the reader knows (the hint beside the player lists them) are called audio here.
(() => {
  "use strict";
  const suffixes = () => (document.querySelector("[data-suffixes]")?.dataset.suffixes ?? "").split(" ").filter(Boolean);
  const takesAudio = (input) => input?.type === "file" && input.accept.includes("audio/");

  // The files under the type audio, as an input holds them; null when they all have it.
  function asAudio(files) {
    const known = suffixes();
    const foreign = (file) =>
      !file.type.startsWith("audio/") && known.some((suffix) => file.name.toLowerCase().endsWith(suffix));
    if (![...files].some(foreign)) return null;
    const renamed = new DataTransfer();
    for (const file of files) renamed.items.add(foreign(file) ? new File([file], file.name, { type: "audio/*" }) : file);
    return renamed.files;
  }

  function chosen(event) {
    const files = takesAudio(event.target) ? asAudio(event.target.files) : null;
    if (files) event.target.files = files;
  }

  function dropped(event) {
    const input = event.target.closest?.("button")?.querySelector("input[type=file]");
    const files = takesAudio(input) && event.dataTransfer ? asAudio(event.dataTransfer.files) : null;
    if (!files) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
    input.files = files;
    input.dispatchEvent(new Event("change"));
  }

  // the dialog of the browser offers what `accept` names
  function asked(event) {
    if (takesAudio(event.target) && !event.target.accept.includes(suffixes()[0]))
      event.target.accept += ", " + suffixes().join(", ");
  }

  document.addEventListener("change", chosen, true);
  document.addEventListener("drop", dropped, true);
  document.addEventListener("click", asked, true);
})();
