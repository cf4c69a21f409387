// Sliders say their value; a dropped or chosen model file is uploaded and then planned for.

const form = document.getElementById("ask");
const drop = document.getElementById("drop");
const file = document.getElementById("file");
const fault = document.getElementById("upload-fault");
const status = document.getElementById("upload-status");
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

for (const slider of form.querySelectorAll("input[type=range][name]")) {
  const output = form.querySelector(`output[for="${slider.id}"]`);
  slider.addEventListener("input", () => {
    output.textContent = number.format(slider.value);
  });
  slider.addEventListener("change", () => form.requestSubmit());
}

function fail(text) {
  status.textContent = "";
  fault.textContent = text;
  fault.hidden = false;
}

async function upload(chosen) {
  fault.hidden = true;
  const limit = Number(drop.dataset.maxBytes);
  if (chosen.size > limit) {
    fail(`${chosen.name} has ${number.format(chosen.size / 1e6)} MB; at most ${number.format(limit / 1e6)} MB are taken. Save the model without its weights: only shapes matter.`);
    return;
  }
  status.textContent = `Reading ${chosen.name}`;
  const name = chosen.name.replace(/\.(onnx|tflite)$/i, "").slice(0, 200);
  let answer;
  try {
    answer = await fetch(`/v1/models?name=${encodeURIComponent(name)}`, { method: "POST", body: chosen });
  } catch {
    fail("The file could not be sent; is the service still there? Try again.");
    return;
  }
  const body = await answer.json();
  if (!answer.ok) {
    fail(`${chosen.name} was not taken: ${body.detail}`);
    return;
  }
  const wanted = new URLSearchParams({ model: body.digest });
  const device = form.elements.device;
  const first = device.value || [...device.options].map((option) => option.value).find(Boolean);
  if (first) wanted.set("device", first);
  location.assign(`/plans?${wanted}`);
}

file.addEventListener("change", () => file.files[0] && upload(file.files[0]));
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
});
