// From a chart as data (memtool/report/charts/record.py) to the options of Apache ECharts. Nothing here draws by itself.
"use strict";
var memtoolOptions = (() => {
  const ROW = 26;

  function duration(ns) {
    const size = Math.abs(ns);
    if (size >= 1e9) return `${digits(ns / 1e9)} s`;
    if (size >= 1e6) return `${digits(ns / 1e6)} ms`;
    if (size >= 1e3) return `${digits(ns / 1e3)} µs`;
    return `${digits(ns)} ns`;
  }
  const digits = (value) => String(Number(value.toPrecision(3)));
  const number = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : Number(value.toPrecision(4)).toLocaleString("en"));
  const written = (axis) => (axis.quantity === "time" ? duration : number);

  function axis(of, theme, more = {}) {
    const common = {
      name: of.name, nameLocation: "middle", nameGap: 30, nameTextStyle: { color: theme.soft },
      axisLabel: { color: theme.ink, hideOverlap: true }, axisLine: { lineStyle: { color: theme.soft } },
      splitLine: { lineStyle: { color: theme.line } }, minorTick: { show: false },
    };
    if (of.categories.length) return { ...common, type: "category", data: of.categories, ...more };
    const format = written(of);
    return { ...common, type: of.is_log ? "log" : "value", ...more, axisLabel: { ...common.axisLabel, formatter: format, ...more.axisLabel } };
  }

  // Where an axis ends before its figures do, no number stands at the end.
  const ending = (of) => (of.end == null ? {} : { max: of.end, axisLabel: { showMaxLabel: false } });

  function frame(chart, theme) {
    return {
      animation: false, backgroundColor: "transparent", textStyle: { color: theme.ink, fontFamily: "system-ui, sans-serif" },
      aria: { enabled: false }, grid: { left: 62, right: 18, top: 26, bottom: 46, containLabel: false },
      tooltip: { trigger: "item", confine: true, backgroundColor: theme.raised, borderColor: theme.soft, textStyle: { color: theme.ink } },
    };
  }

  const named = (params, text) => `${params.marker ?? ""} ${echarts.format.encodeHTML(params.seriesName)}: ${text}`;

  const MOST_NAMED = 12;  // of more lines the names stand above the charts of the workload alone

  function lines(chart, theme, style, isVisible, width) {
    const option = frame(chart, theme);
    const [x, y] = [written(chart.x), written(chart.y)];
    option.xAxis = axis(chart.x, theme, { boundaryGap: false, splitLine: { show: false }, min: chart.x.is_log ? undefined : "dataMin", max: chart.x.categories.length ? undefined : "dataMax" });
    option.yAxis = axis(chart.y, theme, { min: chart.y.is_log ? undefined : 0, nameGap: 44, ...ending(chart.y) });
    option.dataZoom = [{ type: "inside", filterMode: "none" }];
    const place = (value) => (chart.x.categories.length ? chart.x.categories[value] : x(value));
    option.tooltip.formatter = (params) => (params.componentType === "series" ? named(params, `${y(params.value[1])} at ${place(params.value[0])}`) : params.name);
    option.series = chart.lines.filter((line) => line.look !== "allocator" || isVisible(line.label)).map((line) => {
      const own = style(line.label);
      const hollow = new Set(line.hollow);
      const every = line.points.length > 40;
      const data = line.points.map((point, at) => hollow.has(at) ? { value: point, itemStyle: { color: theme.paper, borderColor: own.colour, borderWidth: 1.5 } } : point);
      if (line.look === "area") return { type: "line", name: line.label, data, showSymbol: false, lineStyle: { color: theme.soft, width: 1 }, areaStyle: { color: theme.line }, itemStyle: { color: theme.soft }, z: 1 };
      if (line.look === "floor") return { type: "line", name: line.label, data, showSymbol: false, lineStyle: { color: theme.ink, type: "dotted", width: 2 }, itemStyle: { color: theme.ink }, z: 2 };
      return { type: "line", name: line.label, data, symbol: own.symbol, symbolSize: every ? 5 : 8, showAllSymbol: !every, showSymbol: !every, lineStyle: { color: own.colour, type: own.dash, width: 1.8 }, itemStyle: { color: own.colour }, emphasis: { focus: "series" }, z: 3 };
    });
    if (option.series.length) option.series[0].markLine = marked(chart.marks.map(([name, at]) => ({ name, xAxis: at })).concat(chart.levels.map(([name, at]) => ({ name, yAxis: at }))), theme);
    const names = chart.lines.filter((line) => line.look === "allocator" && isVisible(line.label)).map((line) => line.label);
    const isNamed = names.length > 0 && names.length <= MOST_NAMED;
    option.legend = { show: isNamed, data: names, top: 0, left: 0, width: width - 10, itemWidth: 28, itemGap: 12, selectedMode: false, textStyle: { color: theme.ink } };
    const room = isNamed ? 22 * rows_of(names, width - 10) : 0;
    option.grid.top += room;
    return { option, height: 340 + room };
  }

  // How many rows a legend of these names takes, each with its sign and a gap.
  function rows_of(names, width) {
    let [count, used] = [1, 0];
    for (const name of names) {
      const own = name.length * 7 + 46;
      if (used && used + own > width) [count, used] = [count + 1, 0];
      used += own;
    }
    return count;
  }

  function marked(data, theme, position = "end") {
    return { silent: true, symbol: "none", animation: false, data, lineStyle: { color: theme.soft, type: "dashed" }, label: { formatter: (params) => params.name, color: theme.ink, position, distance: 4 } };
  }

  // Names of rows beside a chart: as wide as they need, a third of the chart at most.
  function rows(labels, theme, width) {
    const longest = Math.max(...labels.map((label) => label.length), 4);
    const room = Math.min(longest * 7.2 + 12, width * 0.36);
    return { room, axis: { type: "category", inverse: true, data: labels, axisTick: { show: false }, axisLine: { lineStyle: { color: theme.soft } }, axisLabel: { color: theme.ink, width: room - 10, overflow: "truncate", interval: 0 } } };
  }

  function bars(chart, theme, style, isVisible, width) {
    const option = frame(chart, theme);
    const visible = chart.bars.filter((bar) => isVisible(bar.label));
    const side = rows(visible.map((bar) => bar.label), theme, width);
    const format = written(chart.axis);
    const single = chart.parts.length === 1;
    option.yAxis = side.axis;
    option.xAxis = axis(chart.axis, theme, { splitNumber: width < 500 ? 3 : 5, ...ending(chart.axis), nameTextStyle: { color: theme.soft, width: width - side.room, overflow: "break" } });
    option.grid = { left: side.room, right: 26, top: single ? 22 : 50, bottom: 46 };
    option.tooltip.formatter = (params) => `${echarts.format.encodeHTML(params.name)}${single ? "" : ", " + params.seriesName}: ${format(single ? visible[params.dataIndex].values[0] : params.value)}${interval(visible[params.dataIndex], format)}`;
    if (!single) option.legend = { top: 0, left: 0, itemWidth: 16, textStyle: { color: theme.ink } };
    if (!single) option.aria = { enabled: true, label: { enabled: false }, decal: { show: true } };
    option.series = chart.parts.map((part, at) => ({
      type: "bar", name: part, stack: single ? undefined : "all", barWidth: "68%",
      data: visible.map((bar) => ({ value: bar.values[at], itemStyle: single ? { color: style(bar.label).colour } : undefined })),
      itemStyle: single ? {} : { color: chart.colours[at], borderColor: theme.soft, borderWidth: 0.5 },
    }));
    const most = Math.max(...visible.map((bar) => bar.high ?? bar.values[0] ?? 0), 0);
    if (single) {
      // Each figure stands behind its interval.
      option.series.push({ type: "scatter", name: part_of(chart), silent: true, symbolSize: 0, data: visible.map((bar, at) => [bar.high ?? bar.values[0], at]), label: { show: true, position: "right", color: theme.ink, formatter: (params) => format(visible[params.dataIndex].values[0]) } });
      if (!chart.axis.is_log && most) Object.assign(option.xAxis, { max: most * 1.18, axisLabel: { ...option.xAxis.axisLabel, showMaxLabel: false } });
      if (visible.some((bar) => bar.low != null)) option.series.push(whiskers(visible.map((bar, at) => [bar.low, at, bar.high]).filter((row) => row[0] != null), theme));
    }
    if (chart.levels.length) option.series[0].markLine = marked(chart.levels.map(([name, at]) => ({ name, xAxis: at })), theme, "start");
    return { option, height: 96 + ROW * Math.max(visible.length, 1) };
  }

  const part_of = (chart) => chart.parts[0];
  const interval = (bar, format) => (bar.low == null ? "" : ` (95 % ${format(bar.low)} to ${format(bar.high)})`);

  // An interval from left to right: [low, row, high].
  function whiskers(data, theme) {
    return {
      type: "custom", name: "95 % interval", data, silent: true, z: 5, clip: true, encode: { x: [0, 2], y: 1 },
      renderItem: (params, api) => {
        const [low, high] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(2), api.value(1)])];
        const bar = (at) => ({ type: "line", shape: { x1: at[0], y1: at[1] - 5, x2: at[0], y2: at[1] + 5 }, style: { stroke: theme.ink, lineWidth: 1.4 } });
        return { type: "group", children: [{ type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: theme.ink, lineWidth: 1.4 } }, bar(low), bar(high)] };
      },
    };
  }

  function spots(chart, theme, style, isVisible, width) {
    const option = frame(chart, theme);
    const [x, y] = [written(chart.x), written(chart.y)];
    const visible = chart.spots.filter((spot) => isVisible(spot.label));
    option.xAxis = axis(chart.x, theme, { scale: true });
    option.yAxis = axis(chart.y, theme, { scale: true, nameGap: 44 });
    option.grid.right = width > 600 ? 90 : 30;
    option.tooltip.formatter = (params) => named(params, `${x(params.value[0])}, ${y(params.value[1])}`);
    const side = sides(chart, visible, width - option.grid.right - 60, 320);
    option.series = visible.map((spot) => ({
      type: "scatter", name: spot.label, data: [[spot.x, spot.y]], symbol: style(spot.label).symbol, symbolSize: 13, z: 3,
      itemStyle: { color: style(spot.label).colour }, label: { show: true, formatter: spot.label, position: side(spot), color: theme.ink, fontSize: 11, backgroundColor: theme.paper, padding: [1, 2] },
      labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
    }));
    option.series.push({ type: "line", name: "Pareto front", step: "end", data: chart.front, showSymbol: false, lineStyle: { color: theme.soft, type: "dashed" }, itemStyle: { color: theme.soft }, z: 1, silent: true });
    option.series.push(crosses(visible, theme, style));
    return { option, height: 400 };
  }

  // On which side of a spot its name covers no other spot: to the right, else to the left, else above. The axes are about
  // as wide and as high as given, in pixels; their ends are guessed as the library chooses them.
  function sides(chart, visible, wide, high) {
    const scale = (of, values, length) => {
      const at = of.is_log ? Math.log10 : (value) => value;
      const places = values.map(at);
      const [low, most] = of.is_log ? [Math.floor(Math.min(...places)), Math.ceil(Math.max(...places))] : [Math.min(...places), Math.max(...places)];
      return (value) => (length * (at(value) - low)) / (most - low || 1);
    };
    const [x, y] = [scale(chart.x, visible.map((spot) => spot.x), wide), scale(chart.y, visible.map((spot) => spot.y), high)];
    return (spot) => {
      const [room, own] = [20 + 6.5 * spot.label.length, x(spot.x)];
      const beside = visible.filter((other) => other !== spot && Math.abs(y(other.y) - y(spot.y)) < 16).map((other) => x(other.x) - own);
      if (!beside.some((far) => far >= 0 && far < room)) return "right";
      return own >= room && !beside.some((far) => far < 0 && -far < room) ? "left" : "top";
    };
  }

  // The intervals of points, both ways: [x, y, x low, x high, y low, y high].
  function crosses(visible, theme, style) {
    return {
      type: "custom", name: "95 % intervals", silent: true, z: 2, clip: true, encode: { x: 0, y: 1 },
      data: visible.map((spot) => [spot.x, spot.y, ...(spot.x_interval ?? [spot.x, spot.x]), ...(spot.y_interval ?? [spot.y, spot.y])]),
      renderItem: (params, api) => {
        const v = (at) => api.value(at);
        const line = (from, to) => ({ type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: style(visible[params.dataIndex].label).colour, lineWidth: 1.2 } });
        return { type: "group", children: [line(api.coord([v(2), v(1)]), api.coord([v(3), v(1)])), line(api.coord([v(0), v(4)]), api.coord([v(0), v(5)]))] };
      },
    };
  }

  function heat(chart, theme, style, isVisible, width) {
    const option = frame(chart, theme);
    const kept = chart.y.categories.map((label, at) => at).filter((at) => !chart.rows_are_allocators || isVisible(chart.y.categories[at]));
    const side = rows(kept.map((at) => chart.y.categories[at]), theme, width);
    const format = written(chart.scale);
    const hollow = new Set(chart.hollow.map(([row, column]) => `${row},${column}`));
    const data = [];
    kept.forEach((row, place) => chart.values[row].forEach((value, column) => {
      if (value != null) data.push({ value: [column, place, Math.log10(Math.max(value, 1)), value], floor: hollow.has(`${row},${column}`) });
    }));
    const sizes = data.map((item) => item.value[2]);
    const low = sizes.length ? Math.min(...sizes) : 0;
    const high = Math.max(low + 1, ...sizes);
    const short = (value) => (chart.scale.quantity === "time" ? (value < 1000 ? String(Math.round(value)) : format(value)) : format(value));
    option.grid = { left: side.room, right: 12, top: chart.rows_are_allocators ? 8 : 30, bottom: 86 };
    option.xAxis = axis(chart.x, theme, { splitLine: { show: false }, axisTick: { show: false } });
    option.yAxis = { ...side.axis, inverse: chart.rows_are_allocators, name: chart.rows_are_allocators ? "" : chart.y.name };
    const color = chart.colours;
    option.visualMap = { type: "continuous", dimension: 2, min: low, max: high, orient: "horizontal", left: side.room, bottom: 0, itemHeight: Math.min(220, width * 0.4), itemWidth: 12, text: [format(10 ** high), format(10 ** low)], textStyle: { color: theme.ink }, inRange: { color }, calculable: false };
    option.tooltip.formatter = (params) => `${echarts.format.encodeHTML(side.axis.data[params.value[1]])}, ${chart.x.name} ${chart.x.categories[params.value[0]]}: ${params.data.floor ? "~" : ""}${format(params.value[3])}`;
    const written_in = (width - side.room) / Math.max(chart.x.categories.length, 1) > 44;
    option.series = [{
      // All at once: what is drawn bit by bit is not there yet when the page is printed.
      type: "heatmap", data, progressive: 0, itemStyle: { borderColor: theme.paper, borderWidth: written_in ? 1 : 0 },
      label: { show: written_in, formatter: (params) => (params.data.floor ? "~" : "") + short(params.value[3]), fontSize: 10, color: "inherit" },
    }];
    if (written_in) option.series[0].data = data.map((item) => ({ ...item, label: { color: (item.value[2] - low) / (high - low || 1) > 0.55 ? "#000" : "#fff" } }));
    return { option, height: 152 + ROW * Math.max(kept.length, 1) };
  }

  // "a12c3" is twelve columns of the first class and three of the third.
  const runs_of = (level) => [...level.matchAll(/([a-z])(\d+)/g)].map(([, letter, count]) => [letter.charCodeAt(0) - 97, Number(count)]);

  function strips(chart, theme, style, isVisible, width, moment) {
    const option = frame(chart, theme);
    const of = chart.moments[moment];
    const visible = of.strips.filter((strip) => isVisible(strip.label));
    const side = rows(visible.map((strip) => strip.label), theme, width);
    option.grid = { left: side.room, right: 16, top: 40, bottom: 46 };
    option.yAxis = side.axis;
    option.xAxis = axis({ name: `address (${of.unit}, from the base)`, categories: [], is_log: false, quantity: "number" }, theme, { min: 0, max: of.end, splitLine: { show: false } });
    option.legend = { top: 0, left: 0, itemWidth: 16, textStyle: { color: theme.ink }, selectedMode: false };
    option.tooltip.formatter = (params) => `${echarts.format.encodeHTML(visible[params.value[0]].label)}: ${params.seriesName}, ${number(params.value[1])} to ${number(params.value[2])} ${of.unit}`;
    const step = of.end / chart.columns;
    option.series = chart.classes.map(([name, colour], number_of_class) => {
      const data = [];
      visible.forEach((strip, row) => strip.levels.forEach((runs, level) => {
        let at = 0;
        for (const [held, count] of runs_of(runs)) {
          if (held === number_of_class) data.push([row, at * step, (at + count) * step, level / strip.levels.length, (level + 1) / strip.levels.length]);
          at += count;
        }
      }));
      return {
        type: "custom", name, data, encode: { x: [1, 2], y: 0 }, itemStyle: { color: colour, borderColor: theme.soft }, clip: true,
        renderItem: (params, api) => {
          const [from, to] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
          // On whole pixels, so that no seam shows between levels that hold the same.
          const height = api.size([0, 1])[1] * 0.84;
          const bottom = from[1] + height / 2;
          const [upper, lower] = [Math.round(bottom - api.value(4) * height), Math.round(bottom - api.value(3) * height)];
          const [left, right] = [Math.round(from[0]), Math.round(to[0])];
          return { type: "rect", shape: { x: left, y: upper, width: right - left, height: lower - upper }, style: { fill: colour } };
        },
      };
    }).filter((series) => series.data.length > 0); // only collectors have what is dead
    return { option, height: 110 + 44 * Math.max(visible.length, 1), note: of.note };
  }

  function changes(chart, theme, style, isVisible, width) {
    const option = frame(chart, theme);
    const visible = chart.changes.filter((change) => isVisible(change.label));
    const side = rows(visible.map((change) => `${change.label} · ${change.what}`), theme, width);
    const reach = Math.min(60, 1.15 * Math.max(1, ...visible.flatMap((change) => [change.change, change.low ?? 0, change.high ?? 0, change.limit ?? 0].map(Math.abs))));
    const inside = (value) => Math.max(-reach, Math.min(reach, value));
    const words = [...new Set(visible.map((change) => change.verdict))];
    const colour = (verdict) => visible.find((change) => change.verdict === verdict).colour;
    option.grid = { left: side.room, right: 22, top: 34, bottom: 46 };
    option.yAxis = side.axis;
    option.xAxis = axis({ name: "change (%); right of 0 is more", categories: [], is_log: false, quantity: "number" }, theme, { min: -reach, max: reach });
    option.legend = { top: 0, left: 0, textStyle: { color: theme.ink }, data: words };
    option.tooltip.formatter = (params) => echarts.format.encodeHTML(visible[params.value[1]].words);
    option.tooltip.extraCssText = "max-width: 30rem; white-space: normal";
    const symbols = ["circle", "rect", "diamond", "triangle", "pin", "arrow"];
    option.series = words.map((verdict, at) => ({
      type: "scatter", name: verdict, symbol: symbols[at % symbols.length], symbolSize: 11, itemStyle: { color: colour(verdict) }, z: 4,
      // What lies beyond the edge has its figure on the inner side of it.
      data: visible.map((change, row) => ({ value: [inside(change.change), row], label: { position: change.change > 0 ? "left" : "right" } })).filter((point) => visible[point.value[1]].verdict === verdict),
      label: { show: true, color: theme.ink, fontSize: 10, backgroundColor: theme.paper, distance: 8, formatter: (params) => (Math.abs(visible[params.value[1]].change) > reach ? `${visible[params.value[1]].change.toFixed(0)} %` : "") },
    }));
    option.series.push(whiskers(visible.map((change, row) => [change.low == null ? null : inside(change.low), row, inside(change.high ?? 0)]).filter((row) => row[0] != null), theme));
    option.series.push({
      type: "scatter", name: "limit", symbol: "rect", symbolSize: [2, 18], itemStyle: { color: theme.ink }, silent: true, z: 3,
      data: visible.map((change, row) => [change.limit, row]).filter((point) => point[0] != null && Math.abs(point[0]) <= reach),
    });
    return { option, height: 110 + ROW * Math.max(visible.length, 1) };
  }

  // What is in a chart, as rows of text: [headings, rows].
  function figures(chart, moment) {
    if (chart.form === "lines") {
      const [x, y] = [written(chart.x), written(chart.y)];
      if (chart.x.categories.length) return [["", ...chart.x.categories], chart.lines.map((line) => [line.label, ...chart.x.categories.map((_, at) => { const place = line.points.findIndex((point) => point[0] === at); return place < 0 ? "n/a" : (line.hollow.includes(place) ? "~" : "") + y(line.points[place][1]); })])];
      return [["", "first", "least", "most", "at", "last"], chart.lines.map((line) => {
        const known = line.points.filter((point) => point[1] != null);
        const most = known.reduce((best, point) => (point[1] > best[1] ? point : best), known[0] ?? [0, NaN]);
        return known.length ? [line.label, y(known[0][1]), y(Math.min(...known.map((point) => point[1]))), y(most[1]), x(most[0]), y(known[known.length - 1][1])] : [line.label, "n/a", "n/a", "n/a", "n/a", "n/a"];
      })];
    }
    if (chart.form === "bars") {
      const format = written(chart.axis);
      return [["", ...chart.parts, "95 % interval"], chart.bars.map((bar) => [bar.label, ...bar.values.map((value) => (value == null ? "n/a" : format(value))), bar.low == null ? "n/a" : `${format(bar.low)} to ${format(bar.high)}`])];
    }
    if (chart.form === "spots") return [["", chart.x.name, chart.y.name, "on the front"], chart.spots.map((spot) => [spot.label, written(chart.x)(spot.x), written(chart.y)(spot.y), chart.front.some((place) => place[0] === spot.x && place[1] === spot.y) ? "yes" : "no"])];
    if (chart.form === "heat") {
      const hollow = new Set(chart.hollow.map(([row, column]) => `${row},${column}`));
      return [["", ...chart.x.categories], chart.y.categories.map((label, row) => [label, ...chart.values[row].map((value, column) => (value == null ? "" : (hollow.has(`${row},${column}`) ? "~" : "") + written(chart.scale)(value)))])];
    }
    if (chart.form === "strips") return [["", ...chart.classes.map(([name]) => name)], chart.moments[moment].strips.map((strip) => { const sums = chart.classes.map(() => 0); let all = 0; strip.levels.forEach((runs) => runs_of(runs).forEach(([held, count]) => { sums[held] += count; all += count; })); return [strip.label, ...sums.map((sum) => `${((100 * sum) / (all || 1)).toFixed(1)} %`)]; })];
    return [["", "metric", "change", "95 % interval", "verdict"], chart.changes.map((change) => [change.label, change.what, `${change.change.toFixed(2)} %`, change.low == null ? "n/a" : `${change.low.toFixed(2)} to ${change.high.toFixed(2)} %`, change.verdict])];
  }

  const forms = { lines, bars, spots, heat, strips, changes };
  return { build: (chart, ...rest) => forms[chart.form](chart, ...rest), figures };
})();
