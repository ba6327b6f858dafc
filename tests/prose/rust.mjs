// What users read of a Rust file: strings of two words or more, and the doc comments that clap makes help of.

import { parser } from '@lezer/rust';

// Attributes with texts for users; those of others are for the compiler.
const SPEAKING = ['arg', 'command', 'error', 'value'];
const HELP = /\bderive\([^)]*\b(Args|Parser|Subcommand|ValueEnum)\b/;
const WORDS = /\p{L}[,;:]? \p{L}/u;
const SQL = /\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|PRAGMA|VACUUM|WHERE|FROM|AND|OR|ORDER BY|LIMIT|IS NULL|NOT NULL)\b| = \?/;

// Adds the texts of the file; returns the names of modules that only tests have.
export function readRust(text) {
  const { source } = text;
  const testModules = [];
  parser.parse(source).iterate({
    enter(node) {
      if (node.name === 'AttributeItem') {
        const attributes = node.node.getChildren('Attribute').map((it) => source.slice(it.from, it.to));
        if (attributes.some((it) => /^#\[(cfg\(test\)|cfg\(any\(test,|test\])/.test(it))) {
          const module = node.node.getChild('ModItem')?.getChild('BoundIdentifier');
          if (module) testModules.push(source.slice(module.from, module.to));
          return false;
        }
        if (attributes.some((it) => HELP.test(it))) help(text, node.node);
      }
      if (node.name === 'Attribute' && !SPEAKING.includes(source.slice(node.from + 2, node.to).match(/^\w*/)[0])) return false;
      if (node.name === 'String') literal(text, node.from + 1, node.to - 1);
      if (node.name === 'RawString') {
        const hashes = source.slice(node.from).match(/^b?r(#*)"/);
        if (hashes) plain(text, node.from + hashes[0].length, node.to - 1 - hashes[1].length);
      }
    },
  });
  return testModules;
}

// The `///` above an item and within it.
function help(text, item) {
  const { source } = text;
  let from = item.from;
  for (let above = item.prevSibling; above?.name === 'LineComment' && source.slice(above.from).startsWith('///'); above = above.prevSibling) {
    from = above.from;
  }
  let last = -1;
  for (const line of source.slice(from, item.to).matchAll(/^[ \t]*\/\/\/ ?(.*)$/gm)) {
    const begin = from + line.index + line[0].length - line[1].length;
    if (from + line.index === last + 1 && line[1] !== '') text.add('\n', begin);
    else text.paragraph(begin);
    text.copy(begin, begin + line[1].length);
    last = from + line.index + line[0].length;
  }
}

const isProse = (words) => WORDS.test(words) && !SQL.test(words);

function plain(text, from, to) {
  if (!isProse(text.source.slice(from, to))) return;
  text.paragraph(from);
  text.copy(from, to);
}

// A string as it is shown: without escapes, and with code for each `{…}`.
function literal(text, from, to) {
  const words = text.source.slice(from, to).replace(/\\\n\s*/g, '').replace(/\{[^{}]*\}/g, 'x');
  if (!isProse(words)) return;
  text.paragraph(from);
  let isCode = false;
  const parts = /\\\n\s*|\\u\{[^}]*\}|\\x..|\\.|\{\{|\}\}|\{[^{}]*\}(?:[a-z]+| (?:s|min|h)\b)?|[^]/gu;
  for (const { 0: part, index } of text.source.slice(from, to).matchAll(parts)) {
    const offset = from + index;
    if (part.startsWith('\\\n')) continue;
    if (part === '`') isCode = !isCode;
    if (part === '\\n') text.paragraph(offset);
    else if (part.startsWith('\\')) text.add(/^\\[xurt0]/.test(part) ? ' ' : part[1], offset);
    else if (part === '{{' || part === '}}') text.add(part[0], offset);
    else if (part.startsWith('{') && part.length > 1) isCode ? text.add('x', offset) : text.code(offset);
    else text.add(part, offset);
  }
  if (isCode) text.add('`', to);
}
