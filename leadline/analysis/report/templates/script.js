const scheme = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const style = getComputedStyle(document.documentElement), text = style.getPropertyValue("--text").trim();
  for (const box of document.querySelectorAll(".figure")) {
    const figure = JSON.parse(box.querySelector("script").textContent);
    figure.layout.font.color = text;
    figure.layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";  // a finger that drags scrolls the page
    figure.layout.hoverlabel = { bgcolor: style.getPropertyValue("--card").trim(), bordercolor: style.getPropertyValue("--line").trim(), font: { color: text }, align: "left" };
    for (const note of figure.layout.annotations ?? []) note.bgcolor = style.getPropertyValue("--card").trim();  // lines may pass below it
    box.plot ??= box.appendChild(document.createElement("div"));
    Plotly.react(box.plot, figure.data, figure.layout, { responsive: true, displayModeBar: false });
  }
}
draw();
scheme.addEventListener("change", draw);
for (const button of document.querySelectorAll(".sortable th button")) button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const empty = text => text === "" || text === "-";
  body.append(...[...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (empty(x) || empty(y)) return empty(x) - empty(y);
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return down ? -order : order;
  }));
});
