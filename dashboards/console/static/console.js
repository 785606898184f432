"use strict";
// What pages do beside showing what the service sends. htmx fetches and swaps; this adds moments in
// the reader's zone, pictures in the page's colours, messages, and the few forms that htmx cannot.

const cookie = (name) =>
  document.cookie.split("; ").find((one) => one.startsWith(name + "="))?.slice(name.length + 1);

// Another service on this host has another port, and cookies of its own.
const headers = () => ({
  "x-csrf-token": cookie("gatetune_csrf" + (location.port && "_" + location.port)) ?? "",
});

// -- moments ------------------------------------------------------------------------------------

function since(seconds) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  return seconds < 10 ? "just now" : `${Math.floor(seconds)} s ago`;
}

function tellTime(root = document) {
  for (const one of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(one.dateTime);
    const text = "exact" in one.dataset
      ? moment.toLocaleTimeString("sv")
      : since(Math.max(0, (Date.now() - moment) / 1000));
    if (one.textContent !== text) one.textContent = text;
    one.title = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
setInterval(tellTime, 10000);

// -- messages -----------------------------------------------------------------------------------

function say(text, kind = "good") {
  const shown = document.createElement("div");
  shown.className = `notice ${kind}`;
  shown.textContent = text;
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? 12000 : 5000);
}

function faultOf(body, status) {
  try {
    const { message, faults } = JSON.parse(body).error;
    return [message, ...faults.slice(0, 3)].join("; ");
  } catch {
    return `The service answered with ${status}.`;
  }
}

const refresh = () => document.body.dispatchEvent(new Event("refresh", { bubbles: true }));

let lostSince = 0;
function lost(is) {
  const banner = document.getElementById("lost");
  if (is && !lostSince) lostSince = Date.now();
  if (!is && lostSince) {
    lostSince = 0;
    refresh();
  }
  banner.hidden = !is;
}

// -- asking the service -------------------------------------------------------------------------

document.addEventListener("htmx:configRequest", (event) => {
  Object.assign(event.detail.headers, headers());
});
document.addEventListener("htmx:sendError", () => lost(true));
document.addEventListener("htmx:afterOnLoad", ({ detail }) => detail.xhr.status < 500 && lost(false));
document.addEventListener("htmx:responseError", (event) => {
  const { xhr, requestConfig, elt } = event.detail;
  const here = encodeURIComponent(location.pathname + location.search);
  if (xhr.status === 401) location.href = `/login?next=${here}`;
  else if (requestConfig.verb !== "get") return; // `told` says it
  else if (xhr.status >= 500) lost(true);
  else if (xhr.status === 404 && elt.id === "head") location.reload(); // the job was deleted
  else refused(event.detail.target, faultOf(xhr.responseText, xhr.status));
});
// A button that the page has replaced meanwhile has no events any more; its request has.
document.addEventListener("htmx:beforeSend", ({ detail: { xhr, elt, requestConfig } }) => {
  if (requestConfig.verb !== "get") xhr.addEventListener("load", () => told(xhr, elt.dataset));
});

// What was to be filled says why it is not.
function refused(target, text) {
  const said = Object.assign(document.createElement("p"), { className: "fault", textContent: text });
  target.querySelector(".skeleton")?.replaceWith(said);
}

function told(xhr, { done, then }) {
  if (xhr.status >= 400) return say(faultOf(xhr.responseText, xhr.status), "bad");
  if (done) say(done);
  if (then) location.href = then;
  else refresh();
}

async function ask(method, path, body, more = {}) {
  const sent = { ...headers(), "content-type": "application/json", ...more };
  const answer = await fetch(path, { method, body, headers: sent });
  const text = await answer.text();
  if (!answer.ok) throw new Error(faultOf(text, answer.status));
  return text ? JSON.parse(text) : null;
}

// A page that Back brings from memory still says what its buttons did before it was left. That of
// the launch keeps what was written in it.
addEventListener("pageshow", (event) => {
  if (event.persisted && !document.getElementById("launch")) location.reload();
});

// The same document launched again is the same job, until it is known that it was launched.
const launches = new Map();

async function launchJob(text, priority = 0) {
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].join("-");
  const body = JSON.stringify({ document: text, priority });
  if (!launches.has(body)) launches.set(body, random());
  const job = await ask("POST", "/api/v1/jobs", body, { "idempotency-key": launches.get(body) });
  launches.delete(body);
  location.href = `/jobs/${job.id}`;
}

// -- pictures -----------------------------------------------------------------------------------

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function dressed(layout) {
  const axis = { gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--line"),
    tickcolor: color("--line"), automargin: true, ticklabelstandoff: 4 };
  const made = {
    font: { family: "system-ui, sans-serif", size: 12, color: color("--soft") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 64, r: 16, t: 8, b: 48 }, hovermode: "closest", dragmode: false,
    uirevision: "kept",
    hoverlabel: { bgcolor: color("--ink"), bordercolor: color("--ink"), font: { color: color("--panel"), size: 12 } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, ...layout,
  };
  for (const name of Object.keys(made).filter((one) => /^[xy]axis/.test(one))) {
    made[name] = { ...axis, ...made[name] };
    if (made[name].title) made[name].title = { standoff: 12, ...made[name].title };
  }
  for (const note of made.annotations ?? []) note.font = { ...note.font, color: color("--soft") };
  return made;
}

const painted = (traces) =>
  JSON.parse(JSON.stringify(traces).replace(/"var\((--[a-z]+)\)"/g, (_, name) => `"${color(name)}"`));

// plotly.js is large: what it is to draw is fetched while it is read.
const loaded = new Promise((done) => document.addEventListener("DOMContentLoaded", done));

async function draw(plot) {
  if (plot.drawing) return;
  plot.drawing = true;
  try {
    const answer = await fetch(plot.dataset.figure, { headers: plot.etag ? { "if-none-match": plot.etag } : {} });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(answer.status);
    plot.etag = answer.headers.get("etag");
    plot.figure = await answer.json();
    await loaded;
    await paint(plot);
  } catch {
    if (plot.figure) return; // what is drawn stays, and the next event tries again
    plot.textContent = "This picture could not be loaded; it is tried again.";
    setTimeout(redrawSoon, 5000);
  } finally {
    plot.drawing = false;
  }
}

async function paint(plot) {
  const { data, layout, summary, empty } = plot.figure;
  const caption = plot.closest("figure").querySelector("figcaption");
  if (summary && caption) caption.textContent = summary;
  if (empty) {
    plot.textContent = empty;
    plot.classList.add("muted");
    return;
  }
  if (!plot.classList.contains("js-plotly-plot")) plot.replaceChildren();
  plot.classList.remove("muted");
  await Plotly.react(plot, painted(data), painted(dressed(layout)),
    { displayModeBar: false, responsive: true, doubleClick: "reset" });
  plot.querySelectorAll("svg").forEach((one) => one.setAttribute("aria-hidden", "true"));
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${plot.dataset.title}. ${summary ?? ""}`);
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.isSeen = isIntersecting;
    if (isIntersecting && (!target.figure || target.isStale)) {
      target.isStale = false;
      draw(target);
    }
  }
}, { rootMargin: "200px" });

const plots = (root = document) => [...root.querySelectorAll("[data-figure]")];

function watch(root = document) {
  for (const plot of plots(root)) seen.observe(plot);
}

let redraw = null;
function redrawSoon() {
  redraw ??= setTimeout(() => {
    redraw = null;
    for (const plot of plots()) plot.isSeen ? draw(plot) : (plot.isStale = true);
  }, 1500);
}
document.addEventListener("figures", redrawSoon);
document.addEventListener("refresh", redrawSoon);

// -- theme --------------------------------------------------------------------------------------

function isDark() {
  const said = document.documentElement.dataset.theme;
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
const repaint = () => plots().forEach((plot) => plot.figure && !plot.figure.empty && paint(plot));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// -- forms and buttons --------------------------------------------------------------------------

async function login(form) {
  const fault = document.getElementById("login-fault");
  try {
    await ask("POST", "/api/v1/session", JSON.stringify({ token: form.token.value.trim() }));
    const next = form.dataset.next;
    const to = new URL(next, location.origin);
    location.href = to.origin === location.origin ? to.href : "/";
  } catch (error) {
    fault.textContent = error.message;
    fault.hidden = false;
    form.token.setAttribute("aria-invalid", "true");
    form.token.focus();
  }
}

async function makeToken(form) {
  const fault = document.getElementById("token-fault");
  try {
    const body = { owner: form.owner.value.trim(), role: form.role.value };
    const made = await ask("POST", "/api/v1/tokens", JSON.stringify(body));
    fault.hidden = true;
    document.getElementById("secret").textContent = made.token;
    document.getElementById("made").hidden = false;
    refresh();
  } catch (error) {
    fault.textContent = error.message;
    fault.hidden = false;
  }
}

const acts = {
  theme() {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    repaint();
  },
  sort(button) {
    const order = document.getElementById("t-order");
    order.value = button.dataset.order;
    order.form.dispatchEvent(new Event("change", { bubbles: true }));
  },
  async copy(button) {
    const text = document.getElementById(button.dataset.target);
    try {
      await navigator.clipboard.writeText(text.textContent);
      say("Copied");
    } catch {
      // Without HTTPS a page may only select.
      getSelection().selectAllChildren(text);
      say("Selected: press Ctrl-C");
    }
  },
  async launch(button) {
    button.disabled = true;
    try {
      await launchJob(button.dataset.document);
    } catch (error) {
      button.disabled = false;
      say(error.message, "bad");
    }
  },
  async logout() {
    await ask("DELETE", "/api/v1/session");
    location.href = "/login";
  },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act], #theme");
  if (button) acts[button.dataset.act ?? "theme"](button);
});
document.addEventListener("submit", (event) => {
  const act = { login, "make-token": makeToken }[event.target.id];
  if (!act) return;
  event.preventDefault();
  act(event.target);
});

tellTime();
watch();
// A table that is sent anew stays where its reader has moved it, and a log at its end; what was
// opened stays open.
const places = new Map();
const opened = new Map();
document.addEventListener("htmx:beforeSwap", () => {
  for (const one of document.querySelectorAll("[data-keep]")) {
    const atEnd = one.scrollTop + one.clientHeight >= one.scrollHeight - 4;
    places.set(one.id, [one.scrollLeft, atEnd && one.dataset.keep === "end" ? Infinity : one.scrollTop]);
  }
  for (const one of document.querySelectorAll("details[id]")) opened.set(one.id, one.open);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const one of document.querySelectorAll("details[id]")) one.open = opened.get(one.id) ?? one.open;
});
document.addEventListener("htmx:afterSettle", (event) => {
  for (const one of document.querySelectorAll("[data-keep]")) {
    const [left, top] = places.get(one.id) ?? [0, one.dataset.keep === "end" ? Infinity : 0];
    one.scrollTo(left, Math.min(top, one.scrollHeight));
  }
  tellTime(event.target);
  watch(event.target);
});
