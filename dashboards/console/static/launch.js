"use strict";
// Keeps the fields and the document of the launch page in step. The service makes each change and
// says what is wrong; this sends what is typed and shows the answer without touching what has focus.

const doc = document.getElementById("document");
const go = document.getElementById("go");
const why = document.getElementById("go-why");
const priority = document.getElementById("priority");
const typed = new Map(); // what no answer has confirmed yet, by part
let edits = 0; // of the document itself
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

async function check() {
  const turn = ++asked;
  const sent = new Map(typed);
  const [text, edit] = [doc.value, edits];
  const changes = [...sent].map(([part, value]) => ({ part, value }));
  let told;
  try {
    told = await ask("POST", "/launch/check", JSON.stringify({ document: text, changes }));
    lost(false);
  } catch (error) {
    if (turn !== asked) return;
    if (error instanceof TypeError) lost(true);
    ready(false, error instanceof TypeError ? "The service does not answer." : error.message);
    soon(3000, why.textContent);
    return;
  }
  if (turn !== asked || edit !== edits) return; // something newer is on its way
  for (const [part, value] of sent) if (typed.get(part) === value) typed.delete(part);
  if (doc.value !== told.document) doc.value = told.document;
  showValues(told.values);
  showFaults(told.faults, told.rest);
  const box = document.getElementById("forecast");
  if (told.forecast) box.innerHTML = told.forecast;
  if (typed.size) return soon(0);
  const faults = Object.values(told.faults).flat().length + told.rest.length;
  ready(!faults, faults ? `${faults} thing${faults > 1 ? "s" : ""} to mend first` : "Nothing is in the way.");
}

function showValues(values) {
  for (const element of document.querySelectorAll("[data-part]")) {
    if (typed.has(element.dataset.part)) continue;
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

// The inputs that a fault is about: one, both ends of a range, or the boxes of a group.
function fieldsOf(path) {
  const own = [...document.querySelectorAll(`[data-part="${path}"], [data-part^="${path}."]`)];
  return own.flatMap((one) => (one.matches("[role=group]") ? [...one.querySelectorAll("input")] : [one]));
}

function showFaults(faults, rest) {
  for (const one of document.querySelectorAll("[data-part], [data-part] input")) one.removeAttribute("aria-invalid");
  for (const line of document.querySelectorAll("[data-fault]")) {
    const said = faults[line.dataset.fault] ?? [];
    line.hidden = !said.length;
    line.textContent = said.join("; ");
    if (said.length) fieldsOf(line.dataset.fault).forEach((one) => one.setAttribute("aria-invalid", "true"));
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

function soon(wait, text = "Checking…") {
  clearTimeout(pending);
  ready(false, text);
  pending = setTimeout(check, wait);
}

document.getElementById("launch").addEventListener("input", (event) => {
  if (event.target === doc) {
    edits += 1;
    typed.clear();
    return soon(300);
  }
  const part = partOf(event.target);
  if (!part || isEmptyEnd(part)) return;
  typed.set(part, valueOf(part));
  soon(event.target.matches("select, [type=checkbox]") ? 0 : 300);
});

// An end of a range is empty before another is typed. The range, with its step and its conditions,
// goes when it is left so.
document.getElementById("launch").addEventListener("change", ({ target }) => {
  const part = partOf(target);
  if (!part || !isEmptyEnd(part)) return;
  typed.set(part, "");
  soon(0);
});

const isEmptyEnd = (part) => /\.(low|high)$/.test(part) && !valueOf(part);

go.addEventListener("click", async () => {
  if (go.getAttribute("aria-disabled") === "true") {
    document.querySelector("[aria-invalid=true]")?.focus();
    return;
  }
  if (!priority.reportValidity()) return;
  ready(false, "Launching…");
  try {
    await launchJob(doc.value, priority.valueAsNumber);
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

// A service keeps files under names that lead nowhere.
function storedName(name) {
  const [, stem, suffix] = /^(.*?)(\.[A-Za-z0-9]+)?$/.exec(name);
  const kept = stem.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[._-]+|[._-]+$/g, "").slice(0, 64);
  return (kept || "data") + (suffix ?? "").toLowerCase();
}

document.getElementById("upload").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  const name = storedName(file.name);
  const bar = document.getElementById("upload-progress");
  const fault = document.getElementById("upload-fault");
  const request = new XMLHttpRequest();
  request.open("PUT", `/api/v1/data/${encodeURIComponent(name)}`);
  for (const [header, value] of Object.entries(headers())) request.setRequestHeader(header, value);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.upload.onprogress = ({ loaded, total }) => (bar.value = loaded / total);
  const fail = (text) => {
    target.value = ""; // else the same file, chosen once more, is no change
    bar.hidden = true;
    fault.hidden = false;
    fault.textContent = text;
  };
  const ends = target.accept.split(",");
  if (!ends.some((end) => name.endsWith(end))) return fail(`A data file must end in ${ends.join(", ")}.`);
  request.onerror = () => fail("The upload was cut off; choose the file again.");
  request.onload = () => {
    if (request.status === 201) location.href = `/launch?data=${encodeURIComponent(name)}`;
    else fail(faultOf(request.responseText, request.status));
  };
  bar.hidden = fault.hidden = false;
  fault.hidden = true;
  request.send(file);
});

addEventListener("pageshow", (event) => event.persisted && check());

check();
