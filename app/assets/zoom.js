// Draws the lanes of a long recording anew for what is visible: every token with its own borders where there are few
// enough of them, else how dense they lie, which is how the server drew all of it (figures.py).
(() => {
  "use strict";
  const { one, play } = window.PairAlign;
  const MOST = 1500; // tokens in a lane: more could not be told apart
  const MOST_BARS = 120; // of them as rectangles, which take the browser long
  const GLYPH_PX = 10; // a narrower token has no room for its glyph
  const GOLDEN_ANGLE_DEG = 137.508; // as in colours.py
  const GLYPHS = "glyphs";
  const hueOf = (id) => (id * GOLDEN_ANGLE_DEG) % 360;
  const PLOT = "#pa-plot .js-plotly-plot";
  const WAIT_MS = 15000;

  let strings = {}; // method -> {ids, text, spans_s} of the result on the page
  const overviews = new WeakMap(); // a trace that was drawn here -> the one of the whole recording
  const overviewOf = (trace) => overviews.get(trace) ?? (trace.type === "heatmap" && trace.meta ? trace : null);

  // The first token of which the predicate holds; it holds for all after that one.
  function bisect(tokens, holds) {
    let low = 0, high = tokens.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(tokens[middle])) high = middle; else low = middle + 1;
    }
    return low;
  }

  const length = ([start, end]) => Math.max(end - start, 1e-3);
  const spanWords = ([start, end]) => `${start.toFixed(2)}–${end.toFixed(2)} s`;
  const placeOf = ({ name, meta, xaxis, yaxis }) => ({ name, meta, xaxis, yaxis });

  // A rectangle per token.
  function bars(overview, string, first, end, { hues, bar }) {
    const shown = Array.from({ length: end - first }, (_, k) => first + k);
    const spans = shown.map((index) => string.spans_s[index]);
    return {
      ...bar, ...placeOf(overview), type: "bar",
      x: spans.map(([start]) => start),
      y: spans.map(() => 1),
      width: spans.map(length),
      marker: {
        color: shown.map((index) => hues[Math.floor(hueOf(string.ids[index]))]),
        line: { width: 1, color: "rgba(255,255,255,0.8)" },
      },
      customdata: shown.map((index) => [index + 1, string.ids[index]]),
      hovertext: shown.map((index, k) => `${overview.name} token ${index + 1}<br>id ${string.ids[index]}<br>${spanWords(spans[k])}`),
    };
  }

  // Their glyphs, where there is room: the browser takes long to fit texts into rectangles.
  function glyphs(overview, string, first, end, pixelsPerS, { bar }) {
    const drawn = [...string.text];
    const wide = Array.from({ length: end - first }, (_, k) => first + k)
      .filter((index) => length(string.spans_s[index]) * pixelsPerS >= GLYPH_PX);
    return {
      ...placeOf(overview), meta: GLYPHS, type: "scatter", mode: "text", textfont: bar.textfont, hoverinfo: "skip",
      x: wide.map((index) => (string.spans_s[index][0] + string.spans_s[index][1]) / 2),
      y: wide.map(() => 0.5),
      text: wide.map((index) => drawn[index]),
    };
  }

  // The rectangles as one image, for more tokens than rectangles are drawn of fast: its columns begin and end where they do.
  function image(overview, string, first, end, { hues }) {
    const edges = [string.spans_s[first][0]], z = [], customdata = [];
    const column = (to, value, told) => { edges.push(to); z.push(value); customdata.push(told); };
    for (let index = first; index < end; index++) {
      const [start, stop] = string.spans_s[index];
      if (start > edges.at(-1)) column(start, null, null); // a pause
      if (stop > edges.at(-1)) column(stop, hueOf(string.ids[index]), [index + 1, string.ids[index], spanWords([start, stop])]);
    }
    return {
      ...placeOf(overview), type: "heatmap", x: edges, y: [0, 1], z: [z], customdata: [customdata], zmin: 0, zmax: 360,
      colorscale: Array.from({ length: 37 }, (_, k) => [k / 36, hues[(10 * k) % 360]]), showscale: false, hoverongaps: false,
      hovertemplate: `${overview.name} token %{customdata[0]}<br>id %{customdata[1]}<br>%{customdata[2]}<extra></extra>`,
    };
  }

  function draw(figure) {
    const style = figure.layout.meta;
    const axis = figure._fullLayout?.xaxis;
    if (!style?.bar || !axis) return;
    const [from, to] = axis.range;
    const data = figure.data.filter((trace) => trace.meta !== GLYPHS).flatMap((trace) => {
      const overview = overviewOf(trace);
      const string = overview && strings[overview.meta];
      if (!string) return trace;
      const first = bisect(string.spans_s, ([, stop]) => stop > from);
      const end = Math.max(first, bisect(string.spans_s, ([start]) => start >= to));
      if (end - first > MOST || end === first) return overview;
      const pixelsPerS = axis._length / (to - from);
      const few = end - first <= MOST_BARS;
      const drawn = few ? bars(overview, string, first, end, style) : image(overview, string, first, end, style);
      overviews.set(drawn, overview);
      return few ? [drawn, glyphs(overview, string, first, end, pixelsPerS, style)] : drawn;
    });
    if (data.some((trace, k) => trace !== figure.data[k])) window.Plotly.react(figure, data, figure.layout);
  }

  // The figure arrives a moment after the strings.
  async function wired() {
    const until = performance.now() + WAIT_MS;
    let figure;
    while (!((figure = one(PLOT))?.on && figure._fullLayout) && performance.now() < until) {
      await new Promise((done) => setTimeout(done, 50));
    }
    if (figure?.on && !figure.paZoomWired) {
      figure.paZoomWired = true;
      figure.on("plotly_relayout", (change) => {
        if (Object.keys(change).some((key) => key.startsWith("xaxis"))) draw(figure);
      });
    }
    return figure;
  }

  // A result has arrived: its JSON document has the tokens of all its parts.
  function drawable(document_) {
    strings = document_?.files?.[0]?.strings ?? {};
    return wired();
  }

  // The view moves along with the part of the strings that is shown; `place` is its HTML (tokens.py).
  async function showPart(place) {
    const part = String(place).match(/data-part="([\d.]+) ([\d.]+)"/);
    const figure = part && (await wired());
    if (figure?.on) window.Plotly.relayout(figure, { "xaxis.range": [Number(part[1]), Number(part[2])] });
  }

  // Play a token that stands in another part than the chips on the page.
  function playToken(lane, method, index) {
    const span = strings[method]?.spans_s[index];
    if (lane && span) play(lane, ...span);
  }

  Object.assign(window.PairAlign, { drawable, showPart, playToken });
})();
