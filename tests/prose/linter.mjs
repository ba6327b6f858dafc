// Harper, with the project's words and phrases, and without the rules of which rules.txt says why they do not fit.

import { readFileSync } from 'node:fs';
import { Dialect, LocalLinter, packWeirpackFiles } from 'harper.js';
import { binary } from 'harper.js/binary';
import { withoutNames } from './names.mjs';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const entries = (name) => read(name).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

// The phrases: what is looked for in the language of Harper's rules (Weir), what to write, and an example.
export const phrases = entries('phrases.txt').map((line, index) => {
  const [pattern, instead, example, ...more] = line.split(' | ').map((part) => part.trim());
  if (!example || more.length > 0) throw new Error(`phrases.txt: not three columns: ${line}`);
  return { rule: `Phrase${index}`, pattern, instead, example };
});

export async function makeLinter() {
  const linter = new LocalLinter({ binary, dialect: Dialect.British });
  await linter.setup();
  const words = entries('words.txt');
  const misplaced = words.find((word, index) => index > 0 && words[index - 1] >= word);
  if (misplaced) throw new Error(`words.txt: "${misplaced}" is not in its place; sort the file: LC_ALL=C sort -u`);
  await linter.importWords(words.flatMap((word) => [word, `${word}'s`]));

  const manifest = { author: 'leadflow', version: '1.0.0', description: 'phrases', license: 'MIT' };
  const pack = new Map([['manifest.json', JSON.stringify(manifest)]]);
  for (const { rule, pattern, instead } of phrases) {
    const message = instead.replaceAll('"', "'");
    pack.set(`${rule}.weir`, `expr main ${pattern}\nlet message "${message}"\nlet description "${message}"\nlet kind "Style"\nlet scope "Sentence"\nlet becomes ""\n`);
  }
  const failures = await linter.loadWeirpackFromBytes(packWeirpackFiles(pack));
  if (failures) throw new Error(`phrases.txt: ${JSON.stringify(failures)}`);

  const rules = await linter.getLintConfig();
  for (const line of entries('rules.txt')) {
    const [rule, reason] = line.split(': ');
    if (!(rule in rules) || !reason) throw new Error(`rules.txt: not a rule of Harper with a reason: ${line}`);
    rules[rule] = false;
  }
  for (const { rule } of phrases) rules[rule] = true;
  await linter.setLintConfig(rules);
  return linter;
}

// What is wrong with a text, in its order.
export async function findings(linter, text) {
  const found = [];
  const spoken = withoutNames(text);
  const byRule = await linter.organizedLints(spoken.toString(), { language: 'markdown', dedup: false });
  for (const [rule, lints] of Object.entries(byRule)) {
    for (const lint of lints) {
      const { start } = lint.span();
      const what = lint.get_problem_text().replace(/\s+/g, ' ');
      found.push({ ...spoken.place(start), rule, what, instead: advice(rule, lint) });
    }
  }
  return found.sort((a, b) => a.line - b.line || a.column - b.column);
}

function advice(rule, lint) {
  if (phrases.some((phrase) => phrase.rule === rule)) return `write: ${lint.message()}`;
  const words = lint.suggestions().map((it) => it.get_replacement_text()).filter((it) => it.trim() !== '');
  const suggested = words.length > 0 ? `: ${words.slice(0, 3).join(', ')}` : '';
  return `${lint.message()}${suggested} [${rule}]`;
}
