// Names in a text become code, so that no rule looks into them.

import { Text } from './text.mjs';

// What is code already, or where a link leads.
const CODE = /```[^]*?```|``[^`]+``|`[^`]+`|\]\([^)\s]*\)|<https?:[^>]*>/;
const NAMES = [
  // Addresses, paths, files, keys, settings, placeholders of systemd, options, modes of files.
  /https?:\/\/[^\s)>]+/,
  /[\w*-]*(?:[./:=@_$]+[\w-]+)+/,
  /%[a-zA-Z]\b/,
  /(?<=[\s(])--?[a-z][\w-]*(?: [a-z]\b)?/,
  /\b[augo]+[-+][rwxX]+\b/,
  // Identifiers, commands of PowerShell, and what has digits.
  /\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+-?[A-Z]\w*/,
  /\b[\w'-]*\d[\w'-]*\b/,
];
// The unit of a number, and the end of a plural or a genitive.
const TAIL = /(?: (?:[kKMG]i?B|[mµ]?s|min|h)|'?s)\b/;
const PARTS = new RegExp(`(?:(${CODE.source})|${NAMES.map((it) => it.source).join('|')})(?:${TAIL.source})?|[^]`, 'gu');

export function withoutNames(text) {
  const result = new Text(text.file, text.source);
  let index = 0;
  for (const [part, code] of text.toString().matchAll(PARTS)) {
    const length = [...part].length;
    const kept = [...(code ?? (length === 1 ? part : ''))];
    kept.forEach((character, at) => result.add(character, text.offsets[index + at]));
    if (kept.length === 0) result.code(text.offsets[index]);
    index += length;
  }
  return result;
}
