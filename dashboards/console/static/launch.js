"use strict";
// Keeps the fields and the document of the launch page in step. The service makes each change and
// says what is wrong; this sends what is typed and shows the answer without touching what has focus.

const doc = document.getElementById("document");
const go = document.getElementById("go");
const why = document.getElementById("go-why");
let pending = null;
let asked = 0;

const partOf = (element) => element.closest("[data-part]")?.dataset.part;

function valueOf(part) {
  const group = document.querySelector(`[data-part="${part}"]`);
  if (group.matches("[role=group]"))
    return [...group.querySelectorAll("input:checked")].map((one) => one.value);
  return group.value.trim();
}

function ready(is, text) {
  go.setAttribute("aria-disabled", String(!is));
  why.textContent = text;
}

async function check(change) {
  const turn = ++asked;
  let told;
  try {
    told = await ask("POST", "/launch/check", JSON.stringify({ document: doc.value, change }));
    lost(false);
  } catch (error) {
    if (error instanceof TypeError) lost(true);
    else say(error.message, "bad");
    return;
  }
  if (turn !== asked) return; // something newer is on its way
  if (change && document.activeElement !== doc) doc.value = told.document;
  showValues(told.values);
  showFaults(told.faults, told.rest);
  const box = document.getElementById("forecast");
  if (told.forecast) box.innerHTML = told.forecast;
  const faults = Object.values(told.faults).flat().length + told.rest.length;
  ready(!faults, faults ? `${faults} thing${faults > 1 ? "s" : ""} to mend first` : "Nothing is in the way.");
}

function showValues(values) {
  for (const element of document.querySelectorAll("[data-part]")) {
    const value = values[element.dataset.part];
    if (element.matches("[role=group]")) {
      for (const box of element.querySelectorAll("input")) box.checked = (value ?? []).includes(box.value);
    } else if (element !== document.activeElement) {
      if (element.tagName === "SELECT") choose(element, value);
      else element.value = value ?? "";
    }
  }
}

function choose(select, value) {
  const wanted = value ?? select.dataset.default ?? "";
  if (wanted && ![...select.options].some((one) => one.value === wanted)) select.add(new Option(wanted));
  select.value = wanted;
}

function showFaults(faults, rest) {
  for (const line of document.querySelectorAll("[data-fault]")) {
    const said = faults[line.dataset.fault] ?? [];
    line.hidden = !said.length;
    line.textContent = said.join("; ");
    const field = document.querySelector(`[data-part="${line.dataset.fault}"]`);
    field?.toggleAttribute("aria-invalid", Boolean(said.length));
    if (said.length) field?.setAttribute("aria-invalid", "true");
  }
  const list = document.getElementById("rest");
  list.replaceChildren(...rest.map((text) => {
    const line = document.createElement("p");
    line.className = "fault";
    line.textContent = text;
    return line;
  }));
  doc.toggleAttribute("aria-invalid", Boolean(rest.length));
  if (rest.length) doc.setAttribute("aria-invalid", "true");
}

function soon(change, wait) {
  clearTimeout(pending);
  ready(false, "Checking…");
  pending = setTimeout(() => check(change), wait);
}

document.getElementById("launch").addEventListener("input", (event) => {
  if (event.target === doc) return soon(null, 300);
  const part = partOf(event.target);
  if (part) soon({ part, value: valueOf(part) }, event.target.matches("select, [type=checkbox]") ? 0 : 300);
});

go.addEventListener("click", async () => {
  if (go.getAttribute("aria-disabled") === "true") {
    document.querySelector("[aria-invalid=true]")?.focus();
    return;
  }
  ready(false, "Launching…");
  try {
    const key = crypto.randomUUID?.() ?? String(Math.random());
    const answer = await fetch("/api/v1/jobs", {
      method: "POST", body: JSON.stringify({ document: doc.value }),
      headers: { ...headers(), "content-type": "application/json", "idempotency-key": key },
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(faultOf(text, answer.status));
    location.href = `/jobs/${JSON.parse(text).id}`;
  } catch (error) {
    say(error.message, "bad");
    ready(true, "It was not launched.");
  }
});

document.getElementById("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([doc.value], { type: "application/yaml" }));
  link.download = `${valueOf("name") || "job"}.yaml`;
  link.click();
  URL.revokeObjectURL(link.href);
});

document.getElementById("upload").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  const bar = document.getElementById("upload-progress");
  const fault = document.getElementById("upload-fault");
  const request = new XMLHttpRequest();
  request.open("PUT", `/api/v1/data/${encodeURIComponent(file.name)}`);
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.upload.onprogress = ({ loaded, total }) => (bar.value = loaded / total);
  const fail = (text) => {
    bar.hidden = true;
    fault.hidden = false;
    fault.textContent = text;
  };
  request.onerror = () => fail("The upload was cut off; choose the file again.");
  request.onload = () => {
    if (request.status === 201) location.href = `/launch?data=${encodeURIComponent(file.name)}`;
    else fail(faultOf(request.responseText, request.status));
  };
  bar.hidden = fault.hidden = false;
  fault.hidden = true;
  request.send(file);
});

check(null);
