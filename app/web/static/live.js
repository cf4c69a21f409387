// Keeps the numbers and charts of a page as new as the service's own, by server-sent events.

import { update } from "./charts.js";

const status = document.querySelector("[data-live-source]");

function say(text, on) {
  status.classList.toggle("on", on);
  const place = status.querySelector(".text");
  if (place.textContent !== text) place.textContent = text;
}

const source = new EventSource(status.dataset.liveSource);
source.addEventListener("open", () => say("Live", true));
source.addEventListener("error", () => say("Not connected; trying again", false));
source.addEventListener("overview", async (event) => {
  const { values, charts } = JSON.parse(event.data);
  for (const [name, text] of Object.entries(values)) {
    for (const place of document.querySelectorAll(`[data-live="${CSS.escape(name)}"]`)) place.textContent = text;
  }
  for (const [name, spec] of Object.entries(charts)) await update(name, spec);
  document.documentElement.dataset.events = Number(document.documentElement.dataset.events ?? 0) + 1;
});
addEventListener("pagehide", () => source.close());
