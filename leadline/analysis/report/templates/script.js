const scheme = matchMedia("(prefers-color-scheme: dark)");
const idle = window.requestIdleCallback ?? (task => setTimeout(task, 200));

// What is compressed: gzip in base 85 (Python's alphabet, but for "<", which is written as ",").
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
function bytes(text) {
  const digit = new Uint8Array(128);
  for (let i = 0; i < 85; i++) digit[ALPHABET.charCodeAt(i)] = i;
  const rest = (5 - text.length % 5) % 5, padded = text + "~".repeat(rest), found = new DataView(new ArrayBuffer(padded.length / 5 * 4));
  for (let i = 0, at = 0; i < padded.length; i += 5, at += 4) {
    let value = 0;
    for (let j = i; j < i + 5; j++) value = value * 85 + digit[padded.charCodeAt(j)];
    found.setUint32(at, value);
  }
  return new Uint8Array(found.buffer, 0, found.byteLength - rest);
}
function unpack(id) {
  const stream = new Blob([bytes(document.getElementById(id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
const once = make => { let made; return () => made ??= make(); };
const packed = once(async () => JSON.parse(await unpack("packed")));
const plotly = once(async () => {
  const script = document.createElement("script");
  script.textContent = await unpack("plotly");
  document.head.append(script);
});

async function draw(box) {
  const [{ figures }] = await Promise.all([packed(), plotly()]);
  box.figure ??= JSON.parse(JSON.stringify(figures[box.dataset.figure]));
  const style = getComputedStyle(document.documentElement), text = style.getPropertyValue("--text").trim(), { layout, data } = box.figure;
  layout.font.color = text;
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";  // a finger that drags scrolls the page
  layout.hoverlabel = { bgcolor: style.getPropertyValue("--card").trim(), bordercolor: style.getPropertyValue("--line").trim(), font: { color: text }, align: "left" };
  for (const note of layout.annotations ?? []) note.bgcolor = style.getPropertyValue("--card").trim();  // lines may pass below it
  box.plot ??= box.appendChild(document.createElement("div"));
  Plotly.react(box.plot, data, layout, { responsive: true, displayModeBar: false });
}
const boxes = [...document.querySelectorAll(".figure")];
// One after the other, so that the page answers in between.
let queue = Promise.resolve();
const later = box => queue = queue.then(() => new Promise(done => setTimeout(done))).then(() => draw(box)).catch(error => box.textContent = `This figure cannot be drawn: ${error}`);
const near = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) { near.unobserve(target); later(target); }
}, { rootMargin: "400px" });
for (const box of boxes) near.observe(box);
scheme.addEventListener("change", () => boxes.filter(box => box.plot).forEach(later));
addEventListener("beforeprint", () => boxes.forEach(later));
if (boxes.length) addEventListener("load", () => idle(() => plotly().catch(() => {})));

// Tables: sorted by a heading; long ones are shown in pages, and searched as a whole.
for (const table of new Set([...document.querySelectorAll("table.sortable, tbody[data-rest]")].map(found => found.closest("table")))) {
  const body = table.tBodies[0], long = body.dataset.rest !== undefined, size = long ? body.rows.length : Infinity;
  let all = [...body.rows], shown = all, page = 0;
  const rest = once(async () => {
    if (!long) return;
    const held = document.createElement("template");
    held.innerHTML = (await packed()).rows[body.dataset.rest];
    all = shown = [...all, ...held.content.querySelectorAll("tr")];
  });
  const show = () => {
    const pages = Math.max(1, Math.ceil(shown.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...(long ? shown.slice(page * size, (page + 1) * size) : shown));
    if (long) tools.querySelector("output").textContent = `${shown.length ? page * size + 1 : 0} to ${Math.min(shown.length, (page + 1) * size)} of ${shown.length.toLocaleString("en")}`;
  };
  let tools;
  if (long) {
    tools = document.createElement("div");
    tools.className = "tools";
    tools.innerHTML = `<input type="search" placeholder="Find in all rows" aria-label="Find in all rows"> <button type="button" data-step="-1">‹ before</button> <output></output> <button type="button" data-step="1">next ›</button>`;
    table.closest(".scroll").before(tools);
    tools.addEventListener("click", event => { if (event.target.dataset.step) rest().then(() => { page += Number(event.target.dataset.step); show(); }); });
    tools.querySelector("input").addEventListener("input", event => rest().then(() => {
      const wanted = event.target.value.toLowerCase();
      shown = all.filter(row => row.textContent.toLowerCase().includes(wanted));
      page = 0;
      show();
    }));
    idle(() => rest().then(show));
  }
  for (const button of table.querySelectorAll("th button")) button.addEventListener("click", async () => {
    await rest();
    const head = button.parentElement, column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const empty = text => text === "" || text === "-", keys = new Map(all.map(row => [row, row.cells[column].dataset.sort ?? row.cells[column].textContent]));
    const compare = (a, b) => {
      const x = keys.get(a), y = keys.get(b);
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
      return down ? -order : order;
    };
    all.sort(compare);
    shown.sort(compare);
    page = 0;
    show();
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "copied";
    } catch {
      prompt("Copy this:", button.dataset.copy);
    }
    setTimeout(() => button.textContent = words, 1500);
  });
}
