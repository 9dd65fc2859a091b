// What the page of a report does: unpacks and draws the charts that come into view, sorts and filters, follows the theme.
"use strict";
(() => {
  const root = document.documentElement;
  const styles = JSON.parse(document.getElementById("styles").textContent);
  const filter = document.getElementById("filter");
  const boxes = [...document.querySelectorAll("#allocators input")];
  const drawn = new Map();
  const tables = new Map();
  const parts = new Map();
  let isPrinting = false;
  const PAPER = 680;  // of A4 and of Letter, within their margins

  // Which allocators are shown: those that are checked, and that any of the words in the filter names.
  let off = new Set();
  let words = [];
  const named = (label) => !words.length || words.some((word) => label.toLowerCase().includes(word));
  const isVisible = (label) => !off.has(label) && named(label);
  // On dark paper a dark colour is lifted, so that its line can be seen.
  const lifted = (colour) => { const [red, green, blue] = echarts.color.parse(colour); return 0.3 * red + 0.6 * green + 0.1 * blue < 95 ? echarts.color.lift(colour, 0.35) : colour; };
  const style = (label) => { const own = styles[label] ?? styles[""]; return root.dataset.theme === "dark" ? { ...own, colour: lifted(own.colour) } : own; };

  function theme() {
    const of = getComputedStyle(root);
    const value = (name) => of.getPropertyValue(`--${name}`).trim();
    return { paper: value("paper"), ink: value("ink"), soft: value("soft"), line: value("line"), raised: value("raised") };
  }

  // The charts of a part of the page, unpacked once.
  function charts(part) {
    if (!parts.has(part)) {
      const packed = document.querySelector(`script[data-of="${part}"]`).textContent;
      const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      parts.set(part, new Response(stream).json());
    }
    return parts.get(part);
  }

  async function draw(figure) {
    const all = await charts(figure.dataset.part);
    paint(figure, all[Number(figure.dataset.chart)]);
  }

  function paint(figure, chart) {
    const place = figure.querySelector(".chart");
    const width = isPrinting ? PAPER : place.clientWidth || 600;
    const slider = figure.querySelector("input[type=range]");
    const moment = slider ? Number(slider.value) : 0;
    const built = memtoolOptions.build(chart, theme(), style, isVisible, width, moment);
    place.style.height = `${Math.round(built.height)}px`;
    let instance = echarts.getInstanceByDom(place);
    if (!instance) instance = echarts.init(place, null, { renderer: "canvas", width, height: built.height });
    instance.resize({ width, height: built.height });
    instance.setOption(built.option, { notMerge: true, lazyUpdate: false });
    if (isPrinting) putOnPaper(place, instance);
    if (built.note !== undefined) figure.querySelector(".note").textContent = [chart.note, built.note].filter(Boolean).join(" ");
    if (!drawn.has(figure)) listen(figure, chart, slider);
    drawn.set(figure, chart);
    figure.dataset.drawn = "yes";
    const details = figure.querySelector("details.figures");
    if (details.open) write(details, chart, moment);
  }

  // A chart may be of several canvases, one above the other, of which a printer gets the topmost: it is given one.
  function putOnPaper(place, instance) {
    instance.getZr().flush();
    const sheet = instance.renderToCanvas({ pixelRatio: 2 });
    sheet.style.cssText = "";  // ECharts lays canvases one above the other
    sheet.className = "printed";
    place.parentElement.querySelector("canvas.printed")?.remove();
    place.after(sheet);
  }

  function listen(figure, chart, slider) {
    const details = figure.querySelector("details.figures");
    details.addEventListener("toggle", () => { if (details.open) write(details, chart, slider ? Number(slider.value) : 0); });
    if (slider) slider.addEventListener("input", () => {
      const title = chart.moments[Number(slider.value)].title;
      figure.querySelector("output").textContent = title;
      slider.setAttribute("aria-valuetext", title);
      paint(figure, chart);
    });
  }

  // The figures of a chart as a table, for who does not see it and for who wants the number.
  function write(details, chart, moment) {
    const [headings, rows] = memtoolOptions.figures(chart, moment);
    const table = document.createElement("table");
    const cell = (row, tag, text, scope) => { const made = row.appendChild(document.createElement(tag)); made.textContent = text; if (scope) made.scope = scope; };
    const head = table.createTHead().insertRow();
    headings.forEach((heading, at) => cell(head, at ? "th" : "td", heading, at ? "col" : ""));
    const body = table.createTBody();
    rows.forEach((values) => { const row = body.insertRow(); values.forEach((value, at) => cell(row, at ? "td" : "th", value, at ? "" : "row")); });
    details.querySelector(".scroll").replaceChildren(table);
  }

  // Tables: sorted by their headings, and without the rows that are not shown.
  function enhance(element) {
    if (tables.has(element)) return tables.get(element);
    const table = new DataTable(element, {
      paging: false, info: false, searching: true, order: [], autoWidth: false, orderMulti: false,
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    });
    tables.set(element, table);
    return table;
  }

  function sift(element) {
    const table = enhance(element);
    const has = (row) => { const label = row.querySelector("th[scope=row]").textContent; return !(label in styles) && !words.length ? true : label in styles ? isVisible(label) : named(label); };
    const rows = table.rows().nodes();
    table.search.fixed("allocators", (text, data, at) => !element.closest("#answer, .part") || element.dataset.of === "facts" || has(rows[at] ?? table.row(at).node())).draw();
  }

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      sight.unobserve(entry.target);
      if (entry.target.matches("ul")) legend(entry.target);
      else if (entry.target.matches("figure")) draw(entry.target);
      else if (words.length || off.size) sift(entry.target); else enhance(entry.target);
    }
  }, { rootMargin: "300px" });
  const figures = [...document.querySelectorAll("figure[data-part]")];
  const sheets = [...document.querySelectorAll("table.sheet")];
  const keys = [...document.querySelectorAll("ul.legend")];
  [...figures, ...sheets, ...keys].forEach((element) => sight.observe(element));

  function refresh() {
    off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
    words = filter.value.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
    boxes.forEach((box) => { box.parentElement.hidden = !named(box.value); });
    document.getElementById("count").textContent = `(${boxes.filter((box) => isVisible(box.value)).length} of ${boxes.length})`;
    legends();
    tables.forEach((_, element) => sift(element));
    drawn.forEach((chart, figure) => paint(figure, chart));
  }
  let waiting;
  filter.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 120); });
  boxes.forEach((box) => box.addEventListener("change", refresh));
  for (const [id, checked] of [["all", true], ["none", false]]) {
    document.getElementById(id).addEventListener("click", () => { boxes.forEach((box) => { box.checked = checked; }); refresh(); });
  }

  // A line as it is drawn everywhere, beside each name: in the choice of allocators, and above the charts of each part.
  const pen = echarts.init(document.createElement("div"), null, { width: 44, height: 16 });
  const samples = new Map();
  function sample(label) {
    const own = style(label);
    const key = JSON.stringify(own);
    if (!samples.has(key)) {
      pen.setOption({
        animation: false, grid: { left: 2, right: 2, top: 7, bottom: 7 }, xAxis: { type: "value", show: false, min: 0, max: 2 }, yAxis: { type: "value", show: false, min: 0, max: 2 },
        series: [{ type: "line", data: [[0, 1], [1, 1], [2, 1]], symbol: own.symbol, symbolSize: (value) => (value[0] === 1 ? 9 : 0), showAllSymbol: true, lineStyle: { color: own.colour, type: own.dash, width: 2 }, itemStyle: { color: own.colour } }],
      }, true);
      samples.set(key, pen.getDataURL({ pixelRatio: 2 }));
    }
    return samples.get(key);
  }
  const labelled = new Set();
  function legend(list) {
    labelled.add(list);
    list.replaceChildren(...JSON.parse(list.dataset.labels).filter(isVisible).map((label) => {
      const [item, image] = [document.createElement("li"), document.createElement("img")];
      Object.assign(image, { src: sample(label), alt: "", width: 44, height: 16 });
      item.append(image, label);
      return item;
    }));
  }
  function legends() {
    labelled.forEach(legend);
    if (chosen.open) boxes.forEach((box) => { box.parentElement.querySelector("img").src = sample(box.value); });
  }
  const chosen = document.getElementById("chosen");
  chosen.addEventListener("toggle", legends);
  chosen.addEventListener("keydown", (event) => { if (event.key === "Escape") { chosen.open = false; chosen.querySelector("summary").focus(); } });
  document.addEventListener("click", (event) => { if (!chosen.contains(event.target)) chosen.open = false; });

  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  function become(isDark) {
    root.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light" : "Dark";
    legends();
    drawn.forEach((chart, figure) => paint(figure, chart));
  }
  become(dark.matches);
  dark.addEventListener("change", (event) => become(event.matches));
  button.addEventListener("click", () => become(root.dataset.theme !== "dark"));

  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawn.forEach((chart, figure) => paint(figure, chart)); } });

  // Paper is light, and has everything: what was never in view is unpacked once the page has time.
  let before;
  addEventListener("beforeprint", () => {
    isPrinting = true;
    before = root.dataset.theme;
    root.dataset.theme = "light";
    keys.forEach(legend);
    document.querySelectorAll("details.explained").forEach((details) => { details.open = true; });
    figures.forEach((figure) => { const all = ready.get(figure.dataset.part); if (all) paint(figure, all[Number(figure.dataset.chart)]); });
  });
  addEventListener("afterprint", () => { isPrinting = false; document.querySelectorAll("canvas.printed").forEach((sheet) => sheet.remove()); become(before === "dark"); });
  const ready = new Map();
  async function unpack() {
    for (const part of new Set(figures.map((figure) => figure.dataset.part))) ready.set(part, await charts(part));
    root.dataset.ready = "yes";
  }
  (window.requestIdleCallback ?? setTimeout)(unpack);
  document.getElementById("count").textContent = `(${boxes.length} of ${boxes.length})`;
})();
