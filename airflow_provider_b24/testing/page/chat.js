"use strict";
// The dialogs of the portal, kept up to date by its events.

const { address, escape, render, strip } = bbcode;
const query = new URLSearchParams(location.search);
const byId = (id) => document.getElementById(id);
const dialogs = new Map(); // id -> dialog
const lit = new Map(); // "dialog|author" -> {name, action, timer}
let users = {};
let current = query.get("dialog") || query.get("IM_DIALOG") || "";

const initials = (name) => name.split(/\s+/).map((word) => word[0] || "").slice(0, 2).join("").toUpperCase();
const avatar = (name, color, group) =>
  `<span class="avatar${group ? " group" : ""}" style="background:${color}">${escape(initials(name))}</span>`;
const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const list = (value) => (Array.isArray(value) ? value : value && typeof value === "object" ? Object.values(value) : []);

// ---- who is writing

const writers = (dialog) => [...lit].filter(([key]) => key.split("|")[0] === dialog).map(([, one]) => one);

function words(people) {
  if (people.length === 1) return `${people[0].name} ${people[0].action || "is typing"}…`;
  return `${people.map((one) => one.name).join(" and ")} are typing…`;
}

function light(dialog, typing) {
  const key = `${dialog}|${typing.author}`;
  clearTimeout(lit.get(key)?.timer);
  const timer = setTimeout(() => putOut(dialog, typing.author), typing.seconds * 1000);
  lit.set(key, { name: typing.name, action: typing.action, timer });
  showTyping();
  showDialogs();
}

function putOut(dialog, author) {
  const key = `${dialog}|${author}`;
  if (!lit.has(key)) return;
  clearTimeout(lit.get(key).timer);
  lit.delete(key);
  showTyping();
  showDialogs();
}

function showTyping() {
  const people = writers(current);
  const line = byId("typing");
  line.hidden = people.length === 0;
  const text = people.length ? words(people) : "";
  if (line.textContent === text) return;
  line.innerHTML = people.length
    ? `<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span><span>${escape(text)}</span>`
    : "";
}

// ---- dialogs

function preview(dialog) {
  const people = writers(dialog.id);
  if (people.length) return `<div class="last lit">${escape(words(people))}</div>`;
  const last = dialog.last;
  if (!last) return `<div class="last">No messages yet</div>`;
  const author = users[last.author] ? `${users[last.author].name.split(" ")[0]}: ` : "";
  const text = strip(last.text) || (last.files.length ? last.files[0].name : "attachment");
  return `<div class="last">${escape(author + text)}</div>`;
}

function showDialogs() {
  const sorted = [...dialogs.values()].sort((one, other) => (other.last?.date || 0) - (one.last?.date || 0));
  byId("dialogs").innerHTML = sorted
    .map(
      (dialog) => `<a href="/?dialog=${encodeURIComponent(dialog.id)}" data-dialog="${escape(dialog.id)}"
        class="${dialog.id === current ? "open" : ""}">${avatar(dialog.title, dialog.color, !dialog.private)}
        <div class="what"><div class="top"><b>${escape(dialog.title)}</b>
        <time>${dialog.last ? clock(dialog.last.date) : ""}</time></div>${preview(dialog)}</div></a>`,
    )
    .join("");
}

function showHead() {
  const dialog = dialogs.get(current);
  if (!dialog) {
    byId("head").innerHTML = "<b>Choose a dialog</b>";
    return;
  }
  const people = dialog.members.length === 1 ? "1 member" : `${dialog.members.length} members`;
  byId("head").innerHTML = `${avatar(dialog.title, dialog.color, !dialog.private)}
    <div><b>${escape(dialog.title)}</b><small title="${escape(dialog.members.join(", "))}">${people}</small></div>
    <code>${escape(dialog.id)}</code>`;
}

// ---- messages

function grid(rows) {
  const display = ["BLOCK", "LINE", "ROW", "TABLE"].find((kind) => kind === rows[0]?.DISPLAY) || "BLOCK";
  const cells = rows.map((row) => {
    const value = address(row.LINK)
      ? `<a href="${escape(row.LINK)}" target="_blank" rel="noopener noreferrer">${render(row.VALUE)}</a>`
      : render(row.VALUE);
    const color = /^#[0-9a-f]{3,6}$/i.test(row.COLOR || "") ? ` style="color:${row.COLOR}"` : "";
    const name = `<div class="name">${escape(row.NAME ?? "")}</div>`;
    const shown = `<div${color}>${value}</div>`;
    return display === "ROW" || display === "TABLE" ? name + shown : `<div>${name}${shown}</div>`;
  });
  return `<div class="grid ${display}">${cells.join("")}</div>`;
}

function linked(link, inner) {
  return address(link)
    ? `<a href="${escape(link)}" target="_blank" rel="noopener noreferrer">${inner}</a>`
    : inner;
}

function block(one) {
  if ("MESSAGE" in one) return `<div class="text">${render(one.MESSAGE)}</div>`;
  if ("DELIMITER" in one) return "<hr>";
  const items = (value) => (value && !Array.isArray(value) && (value.LINK || value.NAME) ? [value] : list(value));
  if ("GRID" in one) return grid(items(one.GRID));
  const links = items(one.LINK || one.RICH_LINK || one.USER || one.IMAGE || one.FILE);
  return links
    .map((item) => {
      const size = item.SIZE ? ` <small>${Math.ceil(item.SIZE / 1024)} KB</small>` : "";
      const desc = item.DESC ? `<div class="desc">${render(item.DESC)}</div>` : "";
      return `<div>${linked(item.LINK, escape(item.NAME || item.LINK || ""))}${size}${desc}</div>`;
    })
    .join("");
}

function attachment(attach) {
  if (!attach) return "";
  const tokens = { primary: "#2f8fdd", secondary: "#9fb3c4", alert: "#e8574f", base: "#b6c2cd" };
  const color = /^#[0-9a-f]{3,6}$/i.test(attach.COLOR || "") ? attach.COLOR : tokens[attach.COLOR_TOKEN];
  const bar = color ? ` style="--bar:${color}"` : "";
  return `<div class="attach"${bar}>${list(attach.BLOCKS || attach).map(block).join("")}</div>`;
}

function keyboard(keys) {
  const buttons = list(keys?.BUTTONS);
  if (!buttons.length) return "";
  const shown = buttons.map((button) => {
    if (button.TYPE === "NEWLINE") return "<br>";
    const tone = ["primary", "secondary", "alert"].includes(button.BG_COLOR_TOKEN) ? button.BG_COLOR_TOKEN : "";
    const kind = `class="${button.DISPLAY === "LINE" ? "LINE" : "BLOCK"} ${tone}"`;
    const text = escape(button.TEXT ?? "");
    return address(button.LINK)
      ? `<a ${kind} href="${escape(button.LINK)}" target="_blank" rel="noopener noreferrer">${text}</a>`
      : `<button type="button" ${kind}>${text}</button>`;
  });
  return `<div class="keyboard">${shown.join("")}</div>`;
}

function file(one) {
  const path = new URL(one.urlDownload, location.href).pathname;
  if (one.type === "image") return `<img class="shown" src="${escape(path)}" alt="${escape(one.name)}">`;
  const ending = one.name.includes(".") ? one.name.split(".").pop().slice(0, 4) : "file";
  return `<a class="file" href="${escape(path)}" download="${escape(one.name)}"><span>${escape(ending)}</span>
    <div>${escape(one.name)}<small>${one.size} bytes</small></div></a>`;
}

function reply(params) {
  const id = params.REPLY_ID || params.replyId;
  const source = id && document.querySelector(`[data-message-id="${Number(id)}"] .text`);
  return source ? `<div class="reply">${escape(source.textContent.slice(0, 120))}</div>` : "";
}

function element(message, before) {
  const box = document.createElement("div");
  box.dataset.messageId = message.id;
  box.dataset.authorId = message.author;
  box.dataset.date = message.date;
  if (!message.author) {
    box.className = "system";
    box.innerHTML = `<span class="text">${message.deleted ? "Message deleted" : render(message.text)}</span>`;
    return box;
  }
  const user = users[message.author] || { name: `User ${message.author}`, color: "#8a94a0" };
  const more = before && before.dataset.authorId === String(message.author) && message.date - before.dataset.date < 300;
  box.className = `message${more ? " more" : ""}${message.deleted ? " deleted" : ""}`;
  const badge = user.bot ? "<i>bot</i>" : "";
  const body = message.deleted
    ? '<div class="text">Message deleted</div>'
    : `${reply(message.params)}<div class="text">${render(message.text)}</div>${attachment(message.params.ATTACH)}
       ${message.files.map(file).join("")}${keyboard(message.params.KEYBOARD)}`;
  box.innerHTML = `${avatar(user.name, user.color)}<div class="bubble"><div class="author" style="color:${user.color}">
    ${escape(user.name)}${badge}</div>${body}<time>${message.edited && !message.deleted ? "edited " : ""}${clock(message.date)}</time></div>`;
  return box;
}

function showMessage(message, isNew) {
  const area = byId("messages");
  const known = area.querySelector(`[data-message-id="${message.id}"]`);
  if (known) {
    known.replaceWith(element(message, known.previousElementSibling));
    return;
  }
  const day = new Date(message.date * 1000).toDateString();
  if (area.dataset.day !== day) {
    area.dataset.day = day;
    const label = day === new Date().toDateString() ? "Today" : day;
    area.insertAdjacentHTML("beforeend", `<div class="day"><span>${label}</span></div>`);
  }
  const box = element(message, area.lastElementChild);
  if (isNew) box.classList.add("new");
  area.append(box);
  area.scrollTop = area.scrollHeight;
}

// ---- the portal

async function load() {
  const state = await (await fetch("/page/state")).json();
  users = state.users;
  dialogs.clear();
  for (const one of lit.values()) clearTimeout(one.timer);
  lit.clear();
  for (const dialog of state.dialogs) {
    dialogs.set(dialog.id, dialog);
    if (dialog.alias === current) current = dialog.id;
    for (const typing of dialog.typing) light(dialog.id, typing);
  }
  if (!current && state.dialogs.length) current = state.dialogs[0].id;
  await open(current);
}

async function open(id) {
  current = id;
  showHead();
  showDialogs();
  showTyping();
  const messages = await (await fetch(`/page/messages?dialog=${encodeURIComponent(id)}`)).json();
  if (current !== id) return;
  const area = byId("messages");
  area.innerHTML = "";
  area.dataset.day = "";
  for (const message of messages) showMessage(message, false);
}

let chain = Promise.resolve(); // events are shown one after the other, after what was loaded before them
const queue = (step) => {
  chain = chain.then(step).catch((error) => console.error(error));
};

function happened(event) {
  if (event.type === "reset") {
    queue(load);
    return;
  }
  queue(() => {
    const dialog = event.dialog;
    dialogs.set(dialog.id, dialog);
    if (event.type === "typing") {
      light(dialog.id, event.typing);
      return;
    }
    putOut(dialog.id, event.message.author);
    if (dialog.id === current) showMessage(event.message, true);
    showDialogs();
  });
}

byId("dialogs").addEventListener("click", (click) => {
  const entry = click.target.closest("[data-dialog]");
  if (!entry || click.ctrlKey || click.metaKey) return;
  click.preventDefault();
  history.replaceState(null, "", entry.getAttribute("href"));
  queue(() => open(entry.dataset.dialog));
});

const events = new EventSource("/page/events");
events.onopen = () => {
  byId("live").classList.add("on");
  queue(load);
};
events.onerror = () => byId("live").classList.remove("on");
events.onmessage = (message) => happened(JSON.parse(message.data));
