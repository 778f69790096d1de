// Makes the picture of the timeline answer: what is pointed at is told below it, arrow keys walk along the marks,
// and a click on the band leads to the restore of that second. Without it every mark is a plain link.

const SVG = document.querySelector("svg[data-timeline]");

function momentAt(svg, clientX) {
  const box = svg.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
  const begins = Date.parse(svg.dataset.begins);
  const at = new Date(begins + share * (Date.parse(svg.dataset.ends) - begins));
  at.setMilliseconds(0);
  return { at, share };
}

function localTime(at) {
  return new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "medium", timeStyle: "medium",
  }).format(at);
}

function tell(svg, panel) {
  const initial = panel.textContent;
  const cursor = svg.querySelector("[data-cursor]");
  const show = (event) => {
    const told = event.target.closest("[data-tell]");
    if (!told) return;
    const onBand = told.classList.contains("tl-span") && event.clientX !== undefined;
    panel.textContent = onBand ? `${localTime(momentAt(svg, event.clientX).at)}. ${told.dataset.tell}` : told.dataset.tell;
  };
  svg.addEventListener("pointermove", (event) => {
    const { share } = momentAt(svg, event.clientX);
    cursor.setAttribute("x1", `${share * 100}%`);
    cursor.setAttribute("x2", `${share * 100}%`);
    cursor.setAttribute("visibility", "visible");
    show(event);
  });
  svg.addEventListener("focusin", show);
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    panel.textContent = initial;
  });
}

function aimExactly(svg) {
  svg.classList.add("is-aimed");
  svg.addEventListener("click", (event) => {
    const band = event.target.closest("[data-reach]");
    if (!band || event.detail === 0) return;
    event.preventDefault();
    const at = momentAt(svg, event.clientX).at.toISOString();
    window.location.assign(`/restore?at=${encodeURIComponent(at)}`);
  });
}

function walk(svg) {
  const marks = [...svg.querySelectorAll("a[data-mark]")];
  const x = (mark) => mark.getBoundingClientRect().left;
  marks.sort((left, right) => x(left) - x(right));
  const choose = (mark) => {
    for (const other of marks) other.setAttribute("tabindex", other === mark ? "0" : "-1");
  };
  if (marks.length) choose(marks.at(-1));
  svg.addEventListener("keydown", (event) => {
    const place = marks.indexOf(event.target.closest("a[data-mark]"));
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: marks.length - 1 }[event.key];
    if (place < 0 || next === undefined || !marks[next]) return;
    event.preventDefault();
    choose(marks[next]);
    marks[next].focus();
  });
}

function localTicks(svg) {
  const language = document.documentElement.lang;
  for (const tick of svg.querySelectorAll("[data-tick]")) {
    const at = new Date(tick.dataset.tick);
    const hours = tick.dataset.hours === "yes";
    const style = hours ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
    tick.textContent = new Intl.DateTimeFormat(language, style).format(at);
  }
}

function numbers(table) {
  const rows = [...table.querySelectorAll("tr[data-at]")].reverse();
  const column = (name) => rows.map((row) => (row.dataset[name] === "" ? null : Number(row.dataset[name])));
  return { at: column("at"), bytes: column("bytes"), rows: column("rows"), seconds: column("seconds") };
}

function chart(box) {
  const { uPlot } = window;
  const table = document.getElementById(box.dataset.chart);
  if (!uPlot || !table) return;
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink-soft").trim() || "gray";
  const hues = ["--chart-1", "--chart-2", "--chart-3"].map((name) => style.getPropertyValue(name).trim() || ink);
  const compact = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact", maximumFractionDigits: 1 });
  const data = numbers(table);
  const values = (_, splits) => splits.map((value) => compact.format(value));
  const axis = (scale, side, show = true) => ({ scale, side, show, values, stroke: ink, grid: { show: false }, size: 56 });
  const day = new Intl.DateTimeFormat(document.documentElement.lang, { day: "numeric", month: "short" });
  // Ticks within one day say it once.
  const days = (_, splits) => splits.map((at) => day.format(at * 1000)).map((text, n, all) => (text === all[n - 1] ? "" : text));
  const narrow = box.clientWidth < 560;
  const series = (label, scale, stroke, dash) => ({
    label, scale, stroke, dash, width: 2, spanGaps: true, points: { size: 6 }, value: (_, v) => (v === null ? "–" : compact.format(v)),
  });
  const plot = new uPlot({
    width: box.clientWidth,
    height: 260,
    series: [
      { label: box.dataset.taken, value: (_, at) => (at === null ? "–" : localTime(new Date(at * 1000))) },
      series(box.dataset.size, "bytes", hues[0]),
      series(box.dataset.rows, "rows", hues[1], [8, 4]),
      series(box.dataset.seconds, "seconds", hues[2], [2, 3]),
    ],
    axes: [
      { stroke: ink, values: days, space: 90, grid: { stroke: style.getPropertyValue("--line").trim() || "gray", width: 1 } },
      axis("bytes", 3), axis("rows", 1, !narrow), axis("seconds", 1, !narrow),
    ],
  }, [data.at, data.bytes, data.rows, data.seconds], box);
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 260 })).observe(box);
}

if (SVG) {
  tell(SVG, document.querySelector("[data-tell-panel]"));
  aimExactly(SVG);
  walk(SVG);
  localTicks(SVG);
}
for (const box of document.querySelectorAll("[data-chart]")) chart(box);
