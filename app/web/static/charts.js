// Draws the charts that stand in the page as specifications, by Vega's interpreter: nothing is evaluated.

const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
const latest = new Map();
const NARROW_PX = 480;

// One drawing of a chart at a time, so that the one asked for last is the one that stays.
function draw(place) {
  const name = place.dataset.chart;
  const turn = (latest.get(name) ?? Promise.resolve()).catch(() => {}).then(() => drawNow(place, name));
  latest.set(name, turn);
  return turn;
}

async function drawNow(place, name) {
  const spec = JSON.parse(document.getElementById(`${name}-spec`).textContent);
  const scheme = dark.matches ? "dark" : "light";
  const theme = (await themes())[scheme];
  const columns = place.clientWidth < NARROW_PX ? 2 : 0;
  const config = { ...theme, legend: { ...theme.legend, columns } };
  drawn.get(name)?.finalize();
  const result = await window.vegaEmbed(place, spec, {
    actions: false,
    ast: true,
    config,
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  });
  drawn.set(name, result);
  // The place has a name of its own, and the table below has the numbers.
  place.querySelector("svg").setAttribute("aria-hidden", "true");
  place.dataset.drawn = scheme;
}

let loaded;
function themes() {
  loaded ??= fetch(new URL("themes.json", import.meta.url)).then((answer) => answer.json());
  return loaded;
}

async function drawAll() {
  await Promise.all([...document.querySelectorAll("[data-chart]")].map(draw));
  document.documentElement.dataset.charts = "drawn";
}

export async function update(name, spec) {
  const place = document.querySelector(`[data-chart="${CSS.escape(name)}"]`);
  const script = document.getElementById(`${name}-spec`);
  if (!place || !script) return false;
  script.textContent = JSON.stringify(spec);
  await draw(place);
  return true;
}

dark.addEventListener("change", drawAll);
await drawAll();
