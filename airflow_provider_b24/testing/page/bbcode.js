"use strict";
// BBCode to HTML. Every piece of the text is escaped before it becomes part of the page; tags that are not
// known, or not closed in order, stay as text.

const bbcode = (() => {
  const escape = (text) =>
    String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

  const address = (link) => {
    const text = String(link ?? "").trim();
    return /^(https?:\/\/|\/(?!\/))/i.test(text) ? text : "";
  };

  const linkTo = (link, inner) => {
    const target = address(link);
    return target ? `<a href="${escape(target)}" target="_blank" rel="noopener noreferrer">${inner}</a>` : inner;
  };

  const dialogAt = (dialog, message) => `/online/?IM_DIALOG=${dialog}${message ? `&#38;IM_MESSAGE=${message}` : ""}`;

  // Shown if it is here; of what is elsewhere only the address, so that no other host is asked.
  const image = (link, title, size = "") => {
    const target = address(link);
    if (!target) return escape(title);
    const path = target.startsWith(`${location.origin}/`) ? target.slice(location.origin.length) : target;
    return path.startsWith("/") ? `<img class="shown ${size}" src="${escape(path)}" alt="${escape(title)}">` : linkTo(target, escape(title));
  };

  const plain = (text) =>
    String(text)
      .split(/(https?:\/\/[^\s[\]<>"']*[^\s[\]<>"'.,;:!?)])/)
      .map((piece, index) => (index % 2 ? linkTo(piece, escape(piece)) : escape(piece)))
      .join("");

  const pairs = {
    b: () => ["<b>", "</b>"],
    i: () => ["<i>", "</i>"],
    u: () => ["<u>", "</u>"],
    s: () => ["<s>", "</s>"],
    size: (value) => {
      const size = Math.min(30, Math.max(8, parseInt(value, 10) || 14));
      return [`<span style="font-size:${size}px">`, "</span>"];
    },
    color: (value) =>
      /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.test(value) ? [`<span style="color:${value}">`, "</span>"] : ["<span>", "</span>"],
    user: (value) => [`<span class="mention${/^(1|all)$/i.test(value) ? " me" : ""}">`, "</span>"], // 1 reads this page
    chat: (value) =>
      /^\d+$/.test(value) ? [`<a class="mention" href="${dialogAt(`chat${value}`)}">`, "</a>"] : ['<span class="mention">', "</span>"],
    context: (value) => {
      const [, dialog, message] = /^((?:chat|sg)?\d+)\/(\d+)$/.exec(value) || [];
      return dialog ? [`<a class="mention" href="${dialogAt(dialog, message)}">`, "</a>"] : ['<span class="mention">', "</span>"];
    },
    send: () => ['<span class="act">', "</span>"],
    put: () => ['<span class="act">', "</span>"],
    call: () => ['<span class="act">', "</span>"],
    url: (value) => {
      const target = address(value);
      return target
        ? [`<a href="${escape(target)}" target="_blank" rel="noopener noreferrer">`, "</a>"]
        : ["<span>", "</span>"];
    },
  };

  const whole = (name, value, inner) => {
    if (name === "code") return `<code>${escape(inner.replace(/^\n|\n$/g, ""))}</code>`;
    if (name === "url") return linkTo(inner, escape(inner));
    return image(inner, inner.trim(), /size=(small|medium|large)/i.exec(value)?.[1].toLowerCase());
  };

  const single = (name, value) => {
    if (name === "timestamp") {
      const moment = new Date(1000 * parseInt(value, 10));
      if (Number.isNaN(moment.getTime())) return "";
      const [day, hour] = [/DATE|DAY/, /TIME/].map((part) => part.test(value) || !/DATE|DAY|TIME/.test(value));
      const shown = [day ? moment.toLocaleDateString() : "", hour ? moment.toLocaleTimeString() : ""];
      return `<time>${escape(shown.filter(Boolean).join(", "))}</time>`;
    }
    if (name === "disk") return `<span class="mention">file ${escape(value)}</span>`;
    return ""; // icon
  };

  const inline = (text) => {
    const tag = /\[(\/?)([a-z]+)(?:=([^\]]*)|( [^\]]*))?\]/gi;
    const open = [];
    let html = "";
    let done = 0;
    for (let found = tag.exec(text); found; found = tag.exec(text)) {
      const [all, closing, word, set, more = ""] = found;
      const value = set ?? more;
      const name = word.toLowerCase();
      const take = (piece) => {
        html += plain(text.slice(done, found.index)) + piece;
        done = found.index + all.length;
      };
      if (!closing && (name === "code" || name === "img" || (name === "url" && !set))) {
        const end = text.toLowerCase().indexOf(`[/${name}]`, tag.lastIndex);
        if (end < 0) continue;
        const inner = text.slice(tag.lastIndex, end);
        take(whole(name, value, inner));
        done = end + name.length + 3;
        tag.lastIndex = done;
      } else if (!closing && ["timestamp", "disk", "icon"].includes(name)) {
        take(single(name, value));
      } else if (!closing && pairs[name]) {
        const [start, stop] = pairs[name](value);
        take(start);
        open.push({ name, stop });
      } else if (closing && open.some((one) => one.name === name)) {
        take("");
        while (open.length) {
          const one = open.pop();
          html += one.stop;
          if (one.name === name) break;
        }
      }
    }
    html += plain(text.slice(done));
    while (open.length) html += open.pop().stop;
    return html.replace(/<\/code>\n/g, "</code>"); // a block ends its line by itself
  };

  const render = (text) => {
    const pieces = [];
    let kind = null;
    let fenced = false;
    for (const line of String(text ?? "").split(/\r\n|\n|\r|\[br\]/i)) {
      if (/^-{54}$|^-{6}$/.test(line.trim())) {
        fenced = !fenced;
        kind = null;
        continue;
      }
      const quoted = fenced || line.startsWith(">>");
      const words = !fenced && quoted ? line.slice(2) : line;
      if (kind === quoted) pieces[pieces.length - 1].lines.push(words);
      else pieces.push({ quoted, lines: [words] });
      kind = quoted;
    }
    return pieces
      .map(({ quoted, lines }) => (quoted ? `<blockquote>${inline(lines.join("\n"))}</blockquote>` : inline(lines.join("\n"))))
      .join("");
  };

  const strip = (text) =>
    String(text ?? "").replace(/\[br\]|\n/gi, " ").replace(/\[\/?[a-z]+(=[^\]]*| [^\]]*)?\]/gi, "");

  return { address, escape, image, render, strip };
})();
