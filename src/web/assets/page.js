// The page works without this file: it only refreshes what changes by itself, and keeps a form from being sent twice.
"use strict";

const REFRESH = 30_000;

/** Fetches the page again and puts its content in place of the old one, unless somebody is at work in it. */
async function refresh() {
  const main = document.querySelector("main");
  const busy = document.hidden || main.querySelector("form[method=post], :focus, details[open]");
  if (busy || window.getSelection()?.toString()) return;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!response.ok || response.redirected) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    main.replaceWith(document.adoptNode(page.querySelector("main")));
  } catch {
    // The daemon is being restarted: the next try finds it.
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  // Only after the form was read.
  setTimeout(() => event.target.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
});
window.addEventListener("pageshow", () => document.querySelectorAll("button").forEach((button) => { button.disabled = false; }));
setInterval(refresh, REFRESH);
