// What becomes of a run: the result of a tab is marked when what it was made from has changed, an example that is chosen
// during a run starts anew, and a failed run's message stays where one pressed the button.
(() => {
  "use strict";
  const { one, all } = window.PairAlign;
  const WAIT_MS = 1000;
  const TOAST = ".toast-body:is(.error, .warning)";

  const runs = new Map(); // name of a run -> what is chosen for it now; for the one that works, and whether one does
  const shown = new Map(); // results -> {name, key, file}: the run that they are of, and what it was made from
  const runOf = (name) => runs.get(name) ?? runs.set(name, { now: null, working: null, busy: false }).get(name);
  const tabOf = (name) => one(`#pa-${name}`)?.closest(".pa-tab");
  const resultsOf = (name) => { const tab = tabOf(name); return tab && one(".pa-results", tab); };
  const visible = (selector) => all(selector).find((button) => button.offsetParent);

  // Recordings and files are told apart by where they lie, all else by its value.
  const plain = (value) => (Array.isArray(value) ? value.map(plain) : value?.path ?? value ?? null);
  const chosen = (values) => {
    const file = values.find((value) => value?.path);
    return { key: JSON.stringify(values.map(plain)), file: file && (file.orig_name ?? file.path.split(/[\\/]/).pop()) };
  };

  // Something that a run is made from was chosen, or changed by a program.
  function chosenFor(name, values) {
    runOf(name).now = chosen(values);
    judge(resultsOf(name));
  }

  // The button was pressed; what is chosen now is what the result will be of.
  function begins(name, values) {
    const run = runOf(name);
    run.now = chosen(values);
    if (!run.busy) Object.assign(run, { working: run.now, busy: true }); // else it waits, and begins again then
    const tab = tabOf(name);
    if (tab) clearMessage(one(".pa-run", tab));
  }

  function arrived(name) {
    const run = runOf(name);
    const results = resultsOf(name);
    if (results) shown.set(results, { name, ...run.working });
    run.busy = false;
    if (stopping) settle();
    clearMessage(one(".pa-run", tabOf(name)));
    all(`${TOAST} .toast-close`).forEach((button) => button.click()); // what they said is no longer so
    judge(results);
  }

  // Mark results that are of something else than what is chosen now.
  function judge(results) {
    const made = results && shown.get(results);
    if (!made) return;
    const { now } = runOf(made.name);
    if (now && now.key !== made.key) {
      const button = one(`#pa-${made.name}`).textContent.trim();
      const of = made.file ? `This is still the result of ${made.file}` : "This result is of what was chosen before";
      results.dataset.outdated = `${of}. Press ${button} for what is chosen now.`;
    } else {
      results.removeAttribute("data-outdated");
    }
  }

  // What a result was made from has changed in itself: an archive got more recordings.
  function outdated(name) {
    const made = shown.get(resultsOf(name));
    if (made?.name === name) made.key = "";
    judge(resultsOf(name));
  }

  function failed(name) {
    runOf(name).busy = false;
    const tab = tabOf(name);
    if (stopping) settle();
    else if (tab) keepMessage(one(".pa-run", tab));
  }

  const clearMessage = (status) => one(".pa-message", status)?.remove();

  // The toast goes by itself; its sentence stays in the status line until the next run.
  async function keepMessage(status) {
    const until = performance.now() + WAIT_MS;
    const latest = () => all(".toast-body.error .toast-message-text").at(-1)?.textContent;
    while (!latest() && performance.now() < until) await new Promise((done) => setTimeout(done, 30));
    if (!latest()) return; // Gradio calls a stopped run failed too
    clearMessage(status);
    status.append(Object.assign(document.createElement("p"), { className: "pa-message", textContent: latest() }));
  }

  // --- an example was chosen: run on it, instead of what runs --------------------------------------------------------
  let again = false;
  let stopping = null; // the names that Stop has ended on the server, from when it is pressed until all is over

  document.addEventListener("click", (event) => { if (event.target.closest?.(".pa-stop")) stopping = []; }, true);

  function start() {
    const button = visible(".pa-start");
    if (button) return button.click();
    const stop = visible(".pa-stop");
    again = Boolean(stop);
    stop?.click();
  }

  // Stop has reached the server, which may still be about to drop the run: what began now would be dropped with it.
  function stopped(names) {
    stopping = names;
    settle();
  }

  function settle() {
    if (!stopping?.length || stopping.some((name) => runOf(name).busy)) return;
    const [name] = stopping;
    stopping = null;
    if (again) one(`#pa-${name}`)?.click();
    again = false;
  }

  Object.assign(window.PairAlign, {
    chosenFor, begins, arrived, outdated, failed, start, stopped,
    keepMessage: (id) => keepMessage(one(`#${id}`)),
    clearMessage: (id) => clearMessage(one(`#${id}`)),
  });
})();
