// Gradio tells those who wait for a place in its queue "queue: 2/5"; here it is said as the server says it for a turn.
(() => {
  "use strict";
  const PLACE = /^queue: (\d+)\/\d+ \|/;
  const words = (ahead) => (ahead === 1 ? "1 run is ahead of yours" : `${ahead} runs are ahead of yours`);

  function say(node) {
    const found = node.nodeType === Node.TEXT_NODE && node.nodeValue.match(PLACE);
    if (found) node.nodeValue = `${words(Number(found[1]))} |`;
  }

  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "characterData") say(change.target);
      for (const node of change.addedNodes) {
        const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
        for (let text = node.nodeType === Node.TEXT_NODE ? node : texts.nextNode(); text; text = texts.nextNode()) say(text);
      }
    }
  }).observe(document.documentElement, { childList: true, characterData: true, subtree: true });
})();
