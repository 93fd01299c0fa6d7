"use strict";
// A page on loopback asks for the next one; a page in a file can only load itself again.
const seconds = 5, old = 60, paused = "mtlsweep-paused", open = "mtlsweep-open";
const button = document.getElementById("pause");
const stored = (name) => { try { return sessionStorage.getItem(name); } catch { return null; } };
const store = (name, value) => { try { sessionStorage.setItem(name, value); } catch { /* private mode */ } };
let waiting = stored(paused) === "yes";

function openParts() {
  return Object.fromEntries([...document.querySelectorAll("details[id]")].map((part) => [part.id, part.open]));
}
function openAgain(parts) {
  for (const [id, isOpen] of Object.entries(parts)) {
    const part = document.getElementById(id);
    if (part) part.open = isOpen;
  }
}
function showAge(problem) {
  const age = Math.round(Date.now() / 1000 - Number(document.getElementById("written").dataset.at));
  const words = age < 120 ? `${age} s` : `${Math.round(age / 60)} min`;
  document.getElementById("notice").textContent = problem || (age > old ? `This page is ${words} old: is \`mtlsweep watch\` still running?` : "");
}
function showButton() {
  button.hidden = false;
  button.textContent = waiting ? "Refresh again" : "Pause refreshing";
}
async function refresh() {
  if (waiting || document.hidden) return;
  if (location.protocol === "file:") {
    store(open, JSON.stringify(openParts()));
    location.reload();
    return;
  }
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (waiting || !next) return;
    const parts = openParts(), scrolled = [...document.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
    const focused = document.activeElement && document.activeElement.closest("#live") ? document.activeElement : null;
    const place = focused ? [...document.querySelectorAll("#live " + focused.tagName)].indexOf(focused) : -1;
    document.getElementById("live").replaceWith(next);
    openAgain(parts);
    document.querySelectorAll(".scroll").forEach((part, index) => { part.scrollLeft = scrolled[index] || 0; });
    if (focused) document.querySelectorAll("#live " + focused.tagName)[place]?.focus({ preventScroll: true });
    showAge("");
  } catch {
    showAge("No answer from `mtlsweep watch`: it has ended, or the connection to it has.");
  }
}
button.addEventListener("click", () => {
  waiting = !waiting;
  store(paused, waiting ? "yes" : "no");
  showButton();
  refresh();
});
openAgain(JSON.parse(stored(open) || "{}"));
showButton();
showAge("");
setInterval(refresh, 1000 * seconds);
setInterval(() => { if (location.protocol === "file:") showAge(""); }, 10000);
