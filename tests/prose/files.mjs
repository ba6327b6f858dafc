// The files with texts that users read, and how each kind becomes a text.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, basename } from 'node:path';
import { readRust } from './rust.mjs';
import { Text } from './text.mjs';

const FOLDERS = /^(docs|debian|systemd|templates|src|crates\/core\/src)\//;
const TOP = /^([A-Z-]+\.md|flows\.toml|Cargo\.toml)$/;
const KINDS = [
  [/\.md$/, (text) => text.copy(0, text.source.length)],
  [/\.rs$/, readRust],
  [/\.hbs$/, readTemplate],
  [/Cargo\.toml$/, readValues],
  [/(\.(toml|service|path|timer)|post(inst|rm)|copyright)$/, readComments],
];

// All files of the repository that users read, without those in Korean and without tests.
export function allTexts() {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { encoding: 'utf8' });
  const files = listed.split('\0').filter((file) => (FOLDERS.test(file) || TOP.test(file)) && kindOf(file) && !isKorean(file));
  const testModules = new Set();
  const texts = files.map((file) => textOf(file, testModules));
  const isTest = (file) => file !== '.' && (testModules.has(file.replace(/(\/mod)?\.rs$/, '')) || isTest(dirname(file)));
  return texts.filter((text) => !isTest(text.file));
}

// The text of a file; modules that only tests have are added by their paths without an ending.
export function textOf(file, testModules = new Set(), source) {
  const kind = kindOf(file);
  if (!kind) throw new Error(`${file}: this kind of file is not read; tests/prose/files.mjs has those that are`);
  const text = new Text(file, source ?? readFileSync(file, 'utf8'));
  const modules = kind[1](text) ?? [];
  const folder = /^(mod|lib|main)\.rs$/.test(basename(file)) ? dirname(file) : file.replace(/\.rs$/, '');
  for (const module of modules) testModules.add(join(folder, module));
  return text;
}

const kindOf = (file) => KINDS.find(([ending]) => ending.test(file));
// Nothing here can spell Korean.
const isKorean = (file) => /\.ko\./.test(file);

// What is between the tags and the expressions of a template, and what expressions have between quotes.
function readTemplate(text) {
  const parts = /<style>[^]*?<\/style>|<\/?(?:a|b|span|strong)\b[^>]*>|<[^>]*>|\{\{[^]*?\}\}\}?|[^<{]+|[^]/g;
  for (const { 0: part, index } of text.source.matchAll(parts)) {
    const spoken = /"([^"<>]*\p{L} \p{L}[^"<>]*)"/u.exec(part.startsWith('{{') ? part : '');
    if (/^<\/?(a|b|span|strong)\b/.test(part)) continue;
    if (/^<[^]/.test(part)) text.paragraph(index);
    else if (spoken) {
      text.paragraph(index);
      text.copy(index + spoken.index + 1, index + spoken.index + 1 + spoken[1].length);
      text.paragraph(index);
    } else if (/^\{\{[#/~!]|^\{\{else/.test(part)) text.paragraph(index);
    else if (part.startsWith('{{')) text.code(index);
    else text.copy(index, index + part.length);
  }
}

// Texts that are values: descriptions, subjects, and what a script prints.
function readValues(text) {
  const values = [/^Description=(.*)$/gm, /^(?:description|subject) = "(.*)"/gm, /"""\\\n([^]*?)"""/g, /<< 'END'\n([^]*?)\nEND$/gm];
  for (const value of values) {
    for (const { 0: all, 1: words, index } of text.source.matchAll(value)) {
      const from = index + all.indexOf(words);
      text.paragraph(from);
      text.copy(from, from + words.length);
    }
  }
}

// Comments, without lines that are configuration when the sign is taken away; and values.
function readComments(text) {
  readValues(text);
  let last = -1;
  for (const { 1: before, 2: words, index } of text.source.matchAll(/^(.*?)#(?: (.*))?$/gm)) {
    const isSetting = /^(\[.*\]|[\w.-]+ *=.*)$/.test(words ?? '');
    const isWithin = before !== '' && !/\s$/.test(before);
    if (words === undefined || isSetting || isWithin) continue;
    const from = index + before.length + 2;
    if (before === '' && index === last + 1) text.add('\n', from);
    else text.paragraph(from);
    text.copy(from, from + words.length);
    last = from + words.length;
  }
}
